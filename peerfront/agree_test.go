package peerfront

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"etcd/bootstrap"
)

// TestAgree checks what follows from what the other founders answer, one after the other if several
// times; the last answer counts from then on.
func TestAgree(t *testing.T) {
	type answer struct {
		status int
		body   string
	}
	agrees, starts := answer{200, `{"memberId":"%d"}`}, answer{503, `{"errorCode":503,"message":"Service Unavailable","cause":"this machine is still starting"}`}
	differs := answer{409, `{"errorCode":409,"message":"Conflict","cause":"this machine belongs to another cluster"}`}
	knows, removed := answer{200, `{"memberId":"%d","hasRun":true,"clientUrl":"http://c"}`}, answer{200, `{"memberId":"%d","hasRun":true,"removed":true,"clientUrl":"http://c"}`}
	other := answer{200, `{"memberId":"5"}`}
	strange, misdirected, uncertified := answer{200, `x`}, answer{421, `{"errorCode":421,"cause":"no"}`}, answer{401, `{"errorCode":401,"cause":"no"}`}
	for _, test := range []struct {
		name   string
		others [][]answer
		err    error
		says   string
	}{
		{"alone", nil, nil, ""},
		{"all agree", [][]answer{{agrees}, {agrees}}, nil, ""},
		{"a majority", [][]answer{{agrees}, {strange}}, nil, ""},
		{"one has another list", [][]answer{{agrees}, {differs}}, nil, ""},
		{"two of five have", [][]answer{{agrees}, {differs}, {agrees}, {differs}}, nil, ""},
		{"it comes later", [][]answer{{misdirected, strange, agrees}, {strange}}, nil, ""},
		{"one may know more", [][]answer{{agrees}, {starts, knows}}, ErrBootstrapped, "has already been bootstrapped"},
		{"one did not", [][]answer{{agrees}, {starts, agrees}}, nil, ""},
		{"known", [][]answer{{agrees}, {knows}}, ErrBootstrapped, "curl -X DELETE http://c/v2/members/"},
		{"removed", [][]answer{{removed}, {agrees}}, ErrBootstrapped, "was removed"},
		{"one refuses the certificate", [][]answer{{agrees}, {uncertified}}, nil, ""},
		{"both do", [][]answer{{uncertified}, {uncertified}}, ErrOtherFounders, ""},
		{"another machine is there", [][]answer{{other, agrees}, {other}}, nil, ""},
		{"both have another list", [][]answer{{differs}, {differs}}, ErrOtherFounders, "compare --initial-cluster"},
		{"of two, one has another list", [][]answer{{differs}}, ErrOtherFounders, "belongs to another cluster"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			list := "m0=http://127.0.0.1:1"
			for i, answers := range test.others {
				var asked atomic.Int64
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					a := answers[min(int(asked.Add(1)), len(answers))-1]
					w.WriteHeader(a.status)
					url := "http://" + r.Host
					_, _ = w.Write([]byte(strings.Replace(a.body, "%d", fmt.Sprint(bootstrap.MemberID(url, "t")), 1)))
				}))
				t.Cleanup(server.Close)
				list += fmt.Sprintf(",m%d=%s", i+1, server.URL)
			}
			cluster, err := bootstrap.Parse(list, "t")
			if err != nil {
				t.Fatal(err)
			}
			self, _ := cluster.Named("m0")
			f := Founders{Cluster: cluster, Self: self, Log: slog.New(slog.DiscardHandler)}
			f.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
			}
			err = f.Agree(t.Context())
			if !errors.Is(err, test.err) || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v, want %v", err, test.err)
			}
		})
	}
}

// A founder to whom nobody answers waits, and can be stopped.
func TestAgreeWithNobody(t *testing.T) {
	cluster, err := bootstrap.Parse("m0=http://127.0.0.1:1,m1=http://127.0.0.1:2", "t")
	if err != nil {
		t.Fatal(err)
	}
	self, _ := cluster.Named("m0")
	ctx, stop := context.WithCancel(t.Context())
	asked := 0
	f := Founders{Cluster: cluster, Self: self, Log: slog.New(slog.DiscardHandler)}
	f.Dial = func(context.Context, string) (net.Conn, error) {
		if asked++; asked == 2 {
			stop()
		}
		return nil, errors.New("nobody")
	}
	if err := f.Agree(ctx); !errors.Is(err, context.Canceled) || asked != 2 {
		t.Errorf("%v after asking %d times", err, asked)
	}
}
