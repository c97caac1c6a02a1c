package httpfront

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

// What the APIs have in common of what a client says of its watch.

// maxTimeout is how long a watch may be told to wait, in seconds.
const maxTimeout = 86400

var (
	errTimeout     = errors.New("timeout is a number of seconds, more than 0 and at most " + strconv.Itoa(maxTimeout))
	errLastEventID = errors.New("Last-Event-ID is not an index")
)

// WatchTimeout returns for how long a watch may wait; 0: as long as it takes.
func (f Form) WatchTimeout() (time.Duration, error) {
	value, given := f.Get("timeout")
	if !given {
		return 0, nil
	}
	seconds, err := strconv.ParseFloat(value, 64)
	if err != nil || strings.Trim(value, "0123456789.") != "" || seconds <= 0 || seconds > maxTimeout {
		return 0, errTimeout
	}
	return max(time.Millisecond, time.Duration(seconds*float64(time.Second))), nil
}

// ResumesAt returns the index after that of the last event which the client of a stream has seen; 0: it
// does not say.
func ResumesAt(h *fasthttp.RequestHeader) (uint64, error) {
	lastID := string(h.Peek("Last-Event-ID"))
	if lastID == "" {
		return 0, nil
	}
	last, err := strconv.ParseUint(lastID, 10, 64)
	if err != nil || last+1 == 0 {
		return 0, errLastEventID
	}
	return last + 1, nil
}
