package httpfront

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
)

// fasthttpLogger logs what fasthttp says about single clients at level debug. Its errors quote the
// request, which may have a password or a value at that place, so that what they quote is left out.
type fasthttpLogger struct{ log *slog.Logger }

func (l fasthttpLogger) Printf(format string, args ...any) {
	if !l.log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	for i, arg := range args {
		if err, ok := arg.(error); ok {
			args[i] = quotation.ReplaceAllString(err.Error(), `"..."`)
		}
	}
	l.log.Debug("http: " + fmt.Sprintf(format, args...))
}

// quotation matches what %q writes.
var quotation = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
