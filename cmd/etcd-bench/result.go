package main

import (
	"math"
	"slices"
	"time"
)

// result is the outcome of one or several measurements of requests.
type result struct {
	elapsed   time.Duration
	cpu       time.Duration // of the servers
	latencies []uint32      // µs, one per request, sorted by percentile
	sorted    bool
}

func microseconds(d time.Duration) uint32 {
	return uint32(min(d.Microseconds(), math.MaxUint32))
}

func (r *result) add(other result) {
	r.elapsed += other.elapsed
	r.cpu += other.cpu
	r.latencies = append(r.latencies, other.latencies...)
	r.sorted = false
}

// rate returns requests per second.
func (r *result) rate() float64 { return float64(len(r.latencies)) / r.elapsed.Seconds() }

// cpuPerOp returns the CPU time of the servers per request in µs.
func (r *result) cpuPerOp() float64 {
	return float64(r.cpu.Nanoseconds()) / 1000 / float64(len(r.latencies))
}

// percentile returns the latency in ms that p percent of the requests do not exceed, 0 if
// there are none.
func (r *result) percentile(p float64) float64 {
	if len(r.latencies) == 0 {
		return 0
	}
	if !r.sorted {
		slices.Sort(r.latencies)
		r.sorted = true
	}
	rank := int(math.Ceil(float64(len(r.latencies)) * p / 100))
	return float64(r.latencies[max(rank, 1)-1]) / 1000
}

// point is one point of a distribution: so many percent take at most so long.
type point struct {
	Percent float64 `json:"percent"`
	Ms      float64 `json:"ms"`
}

// distribution returns the points at which latencies are plotted.
func (r *result) distribution() (points []point) {
	for _, p := range []float64{10, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 99.95, 99.99, 100} {
		points = append(points, point{p, r.percentile(p)})
	}
	return points
}

// requestMetrics returns what is reported of requests that were sent one after the other on each
// connection.
func (r *result) requestMetrics() map[metric]float64 {
	return map[metric]float64{
		throughput: r.rate(), cpuPerOp: r.cpuPerOp(),
		p50: r.percentile(50), p99: r.percentile(99), p999: r.percentile(99.9),
	}
}

// median returns the middle value, the upper one of two, and 0 of none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
