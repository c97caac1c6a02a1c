package ops

import (
	"log/slog"
	"net/http"
	"strings"

	"github.com/valyala/fasthttp/pprofhandler"

	"etcd/apierror"
	"etcd/httpfront"
)

// What is served at the metrics listener only: its port is for those who run the machine.

// Admin returns the routes of the metrics listener.
func Admin(cfg Config) []httpfront.Route {
	o := newOps(cfg)
	routes := append(Version(cfg.Release), o.probes()...)
	routes = append(routes, httpfront.Route{Path: "/debug/log-level", Early: true, Methods: map[string]httpfront.Handler{
		http.MethodGet: o.logLevel, http.MethodHead: o.logLevel, http.MethodPut: o.setLogLevel,
	}})
	if cfg.Pprof {
		routes = append(routes, Profiles()...)
	}
	return httpfront.Of("ops", routes)
}

// Profiles returns the routes of profiles of this process.
func Profiles() []httpfront.Route {
	return httpfront.Of("ops", []httpfront.Route{{Path: "/debug/pprof", Tree: true, Guard: httpfront.RootOnly, Early: true, Methods: httpfront.Get(profile)}})
}

func (o *ops) logLevel(*httpfront.Exchange) httpfront.Answer {
	return httpfront.Text(strings.ToLower(o.cfg.LogLevel.Level().String()))
}

// setLogLevel sets the level below which nothing is logged, for as long as the process runs.
func (o *ops) setLogLevel(x *httpfront.Exchange) httpfront.Answer {
	level, err := ParseLevel(strings.TrimSpace(x.Body))
	if err != nil {
		return httpfront.NewError(apierror.InvalidField, err.Error())
	}
	if before := o.cfg.LogLevel.Level(); before != level {
		o.cfg.LogLevel.Set(level)
		o.cfg.Log.Log(x.Fasthttp(), max(before, level, slog.LevelInfo), "the log level was changed", "from", before, "to", level, "by", x.Conn().RemoteAddr())
	}
	return o.logLevel(x)
}

// profile serves the profiles of package runtime/pprof.
func profile(x *httpfront.Exchange) httpfront.Answer {
	if x.Key == "/" {
		x.Fasthttp().URI().SetPath(x.Path) // the library refuses the slash at its end, which the links of its page need
	}
	if string(x.Fasthttp().Path()) == "/debug/pprof/cmdline" {
		return httpfront.NotFound(x) // it may have the password of a -discovery-proxy
	}
	pprofhandler.PprofHandler(x.Fasthttp())
	return nil
}
