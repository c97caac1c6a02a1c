package server

import (
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"etcd/credentials"
)

// newRegistry returns the metrics of the process. Those of the ports and the machine are added when
// they are there.
func (c *Config) newRegistry(tls security) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), tls,
		constant("etcd_server_version", "The version of this program, as a label.", prometheus.Labels{"server_version": Version}),
		constant("etcd_server_go_version", "The version of Go that it was built with, as a label.", prometheus.Labels{"server_go_version": runtime.Version()}),
		constant("etcd_build_info", "How this program was built, in labels.", prometheus.Labels{
			"version": Version, "revision": Revision(), "go_version": runtime.Version(),
		}),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "etcd_log_lines_lost_total", Help: "Log lines that could not be written."},
			func() float64 { return float64(c.LostLogLines()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "os_fd_limit", Help: "The limit of open files."},
			func() float64 { return float64(openFiles()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "os_fd_used", Help: "Open files; 0 where the system does not say."}, filesInUse),
	)
	return r
}

// constant returns a metric that says something in its labels.
func constant(name, help string, labels prometheus.Labels) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, func() float64 { return 1 })
}

// Revision returns the commit that the program was built from, if the build says so.
func Revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
}

// filesInUse returns how many files the process has open.
func filesInUse() float64 {
	const dir = "/proc/self/fd"
	if info, err := os.Stat(dir); err == nil && info.Size() > 0 {
		return float64(info.Size()) // since Linux 6.2, without a look at each of them
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	return float64(len(files))
}

var certificateDesc = prometheus.NewDesc("etcd_certificate_expires_in_seconds",
	"Seconds until a certificate expires: that of this machine, or the one of a CA file that does so first.", []string{"port", "file"}, nil)

// Describe implements [prometheus.Collector].
func (s security) Describe(ch chan<- *prometheus.Desc) { ch <- certificateDesc }

// Collect implements [prometheus.Collector].
func (s security) Collect(ch chan<- prometheus.Metric) {
	for port, c := range map[string]*credentials.Credentials{"client": s.clients, "peer": s.peers} {
		if c == nil {
			continue
		}
		for _, file := range c.Expiries() {
			ch <- prometheus.MustNewConstMetric(certificateDesc, prometheus.GaugeValue, time.Until(file.NotAfter).Seconds(), port, strings.ToValidUTF8(file.File, "\ufffd"))
		}
	}
}
