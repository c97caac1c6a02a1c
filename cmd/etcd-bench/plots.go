package main

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
)

const (
	plotWidth  = 16 * vg.Centimeter
	plotHeight = 10 * vg.Centimeter
)

// curve is the line of one system in a plot.
type curve struct {
	name   string
	points plotter.XYs
}

// plotters draw all plots, each into the file of its name.
var plotters = []struct {
	file, title, x, y string
	logX, logY        bool
	ticks             func([]curve) []plot.Tick // nil: those of the scale
	curves            func(*report) []curve
}{
	{"writes-by-connections", "Writes, one machine", "connections", "writes/s", true, false, measuredTicks, byConnections(workWrites, 1)},
	{"writes-by-connections-3", "Writes, three machines", "connections", "writes/s", true, false, measuredTicks, byConnections(workWrites, machines)},
	{"reads-by-connections", "Local reads, one machine", "connections", "reads/s", true, false, measuredTicks, byConnections(workLocalReads, 1)},
	{"write-latencies", "Writes, one machine, " + strconv.Itoa(typical) + " connections", "percentile", "ms", false, true, percentileTicks, latencies(workWrites)},
	{"fanout-latencies", "One event to many watchers", "percentile of the watchers", "ms", false, true, percentileTicks, latencies(workFanOut)},
	{"memory-by-watchers", "Memory of idle watchers", "watchers", "RSS in MiB", false, false, nil, byWatchers},
	{"throughput-by-data", "Writes by size of the data, one machine, " + strconv.Itoa(typical) + " connections", "keys", "writes/s", true, false, measuredTicks, byKeys},
}

// plot draws into files in a directory.
func (r *report) plot(dir string) error {
	for _, d := range plotters {
		curves := d.curves(r)
		if len(curves) == 0 {
			continue // that was not measured
		}
		p := plot.New()
		p.Title.Text, p.X.Label.Text, p.Y.Label.Text = d.title, d.x, d.y
		p.Add(plotter.NewGrid())
		p.Legend.Top, p.Legend.Left = true, true
		var lines []any
		for _, c := range curves {
			lines = append(lines, c.name, c.points)
		}
		if err := plotutil.AddLinePoints(p, lines...); err != nil {
			return fmt.Errorf("plot %s: %w", d.file, err)
		}
		p.X.Max *= 1.03 // room for half of the last label in another font
		if d.logX {
			p.X.Scale = plot.LogScale{}
		}
		if d.ticks != nil {
			p.X.Tick.Marker = plot.ConstantTicks(d.ticks(curves))
		}
		// Room for the legend, which is drawn over the lines.
		if d.logY {
			p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
			p.Y.Max *= 5
		} else {
			p.Y.Min = 0
			p.Y.Max *= 1.4
		}
		if err := p.Save(plotWidth, plotHeight, filepath.Join(dir, d.file+".svg")); err != nil {
			return fmt.Errorf("plot %s: %w", d.file, err)
		}
	}
	return nil
}

// collect makes a curve of each system from the figures of some work.
func (r *report) collect(work string, xy func(figure) plotter.XYs) (curves []curve) {
	for _, f := range r.Figures {
		if f.Work != work {
			continue
		}
		points := xy(f)
		if len(points) == 0 {
			continue
		}
		i := slices.IndexFunc(curves, func(c curve) bool { return c.name == f.System })
		if i < 0 {
			i, curves = len(curves), append(curves, curve{name: f.System})
		}
		curves[i].points = append(curves[i].points, points...)
	}
	return curves
}

func byConnections(work string, machines int) func(*report) []curve {
	return func(r *report) []curve {
		return r.collect(work, func(f figure) plotter.XYs {
			if f.At.Machines != machines || f.System == fasthttp && work == workWrites {
				return nil // it writes nothing
			}
			return plotter.XYs{{X: float64(f.At.Connections), Y: f.Values[throughput]}}
		})
	}
}

func byWatchers(r *report) []curve {
	return r.collect(workIdleWatchers, func(f figure) plotter.XYs {
		return plotter.XYs{{X: float64(f.At.Watchers), Y: f.Values[memory]}}
	})
}

func byKeys(r *report) []curve {
	return r.collect(workBigData, func(f figure) plotter.XYs {
		return plotter.XYs{{X: float64(f.At.Keys), Y: f.Values[throughput]}}
	})
}

// latencies makes a curve of the distribution of latencies on one machine; if there are several,
// that of the number of connections that is typical, else of the largest.
func latencies(work string) func(*report) []curve {
	return func(r *report) []curve {
		at := params{}
		for _, size := range r.sizes(work) {
			if size.Machines == 1 && at.Connections != typical && size.Connections >= at.Connections {
				at = size
			}
		}
		return r.collect(work, func(f figure) (points plotter.XYs) {
			if f.At != at || f.System == fasthttp {
				return nil
			}
			for _, l := range f.Latencies {
				if l.Percent < 100 {
					points = append(points, plotter.XY{X: nines(l.Percent), Y: max(l.Ms, 0.001)})
				}
			}
			return points
		})
	}
}

// nines is where a percentile is drawn: 90, 99 and 99.9 are as far from each other.
func nines(percent float64) float64 { return -math.Log10(1 - percent/100) }

func percentileTicks([]curve) (ticks []plot.Tick) {
	for _, p := range []float64{10, 50, 90, 99, 99.9, 99.99} {
		ticks = append(ticks, plot.Tick{Value: nines(p), Label: strconv.FormatFloat(p, 'g', -1, 64)})
	}
	return ticks
}

// measuredTicks are the places of the points.
func measuredTicks(curves []curve) (ticks []plot.Tick) {
	for _, c := range curves {
		for _, p := range c.points {
			if !slices.ContainsFunc(ticks, func(t plot.Tick) bool { return t.Value == p.X }) {
				ticks = append(ticks, plot.Tick{Value: p.X, Label: grouped(int(p.X))})
			}
		}
	}
	return ticks
}
