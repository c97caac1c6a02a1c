package ops

import (
	"net/http"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/valyala/fasthttp"

	"etcd/httpfront"
)

// maxScrapes bounds the scrapes at a time.
const maxScrapes = 4

// metrics answers a scrape, in Prometheus' text format. A metric that is broken must not hide the
// others.
func (o *ops) metrics(*httpfront.Exchange) httpfront.Answer {
	select {
	case o.scrapes <- struct{}{}:
		defer func() { <-o.scrapes }()
	default:
		return httpfront.HTTPError(http.StatusServiceUnavailable, "too many scrapes at a time")
	}
	families, err := o.cfg.Metrics.Gather()
	if err != nil {
		o.cfg.Log.Error("some metrics cannot be gathered; please report this message", "error", err)
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
