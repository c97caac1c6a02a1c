package e2e

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// metricFamilies are the metrics of one scrape by name.
type metricFamilies map[string]*dto.MetricFamily

// scrape returns what a machine serves at /metrics, parsed and as text.
func (s *server) scrape(t *testing.T) (metricFamilies, string) {
	t.Helper()
	answer, err := exchange(s.client, get("/metrics"))
	if err != nil || answer.status != 200 || !strings.HasPrefix(answer.header.Get("Content-Type"), "text/plain") {
		t.Fatalf("/metrics of %s: %v, %+v", s.name, err, answer)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(answer.body))
	if err != nil {
		t.Fatalf("/metrics of %s: %v", s.name, err)
	}
	return families, answer.body
}

// metric returns the value of a series, which there must be.
func (s *server) metric(series string) float64 {
	s.t.Helper()
	r, err := exchange(s.client, get("/metrics"))
	if err != nil {
		s.t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` (.*)$`).FindStringSubmatch(r.body)
	if m == nil {
		s.t.Fatalf("no metric %s", series)
	}
	value, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return value
}

// labels returns the values that each label of a metric has.
func (f metricFamilies) labels(name string) map[string][]string {
	values := map[string][]string{}
	for _, m := range f[name].GetMetric() {
		for _, l := range m.Label {
			values[l.GetName()] = append(values[l.GetName()], l.GetValue())
		}
	}
	return values
}

// family returns the name of the metric to which a series belongs, "" if none is served: that of
// a histogram for its buckets, its sum and its count.
func (f metricFamilies) family(series string) string {
	if f[series] != nil && f[series].GetType() != dto.MetricType_HISTOGRAM {
		return series
	}
	for suffix, kinds := range map[string][]dto.MetricType{
		"_bucket": {dto.MetricType_HISTOGRAM},
		"_sum":    {dto.MetricType_HISTOGRAM, dto.MetricType_SUMMARY},
		"_count":  {dto.MetricType_HISTOGRAM, dto.MetricType_SUMMARY},
	} {
		if name, cut := strings.CutSuffix(series, suffix); cut && f[name] != nil && slices.Contains(kinds, f[name].GetType()) {
			return name
		}
	}
	return ""
}
