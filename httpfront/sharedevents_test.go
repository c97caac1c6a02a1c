package httpfront

import (
	"strings"
	"testing"
	"time"

	"etcd/actors"
	"etcd/store/tree"
)

// valuesFormat has of an event its values.
type valuesFormat struct{ StreamFormat }

func (valuesFormat) AppendEvent(to []byte, gaps *Gaps, _ *actors.Machine, e *tree.Event) []byte {
	return gaps.AppendString(gaps.AppendString(to, e.Node.Value), e.Prev.Value)
}

// What is rendered of an event for one stream is small, whatever has to be escaped in its values.
func TestAStreamCopiesNoLargeValue(t *testing.T) {
	for _, size := range []int{maxLight / 2, maxLight, 4 * maxLight, 8 * maxLight} {
		value := strings.Repeat("<", size)
		e := &tree.Event{Index: 7, Node: &tree.Node{Value: value}, Prev: &tree.Node{Value: value[1:]}}
		var gaps Gaps
		data := new(Server).appendEvent(nil, &gaps, valuesFormat{}, e, time.Now())
		if most := 2 * len(`"\u003c"`) * maxLight; len(data) > most {
			t.Errorf("two values of %d bytes take %d, want at most %d", size, len(data), most)
		}
		if n := len(data) + gaps.size(); n != len(`\u003c`)*(2*size-1)+len(`""""`) {
			t.Errorf("two values of %d bytes make %d of the stream", size, n)
		}
	}
}
