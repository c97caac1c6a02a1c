package ops

import (
	"net/http"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/valyala/fasthttp"

	"etcd/httpfront"
)

// metrics answers a scrape, in Prometheus' text format.
func (o *ops) metrics(*httpfront.Exchange) httpfront.Answer {
	families, err := o.cfg.Metrics.Gather()
	if err != nil {
		return httpfront.HTTPError(http.StatusInternalServerError, "the metrics cannot be gathered: "+err.Error())
	}
	return scraped(families)
}

// scraped are metrics as they are answered.
type scraped []*dto.MetricFamily

func (s scraped) Write(resp *fasthttp.Response) {
	format := expfmt.NewFormat(expfmt.TypeTextPlain)
	resp.Header.SetContentType(string(format))
	encoder := expfmt.NewEncoder(resp.BodyWriter(), format)
	for _, family := range s {
		if err := encoder.Encode(family); err != nil {
			panic(err) // a body takes everything, and the registry has checked the metrics
		}
	}
}
