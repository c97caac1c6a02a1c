package httpfront

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/valyala/fasthttp"

	"etcd/apierror"
	"etcd/raftnode"
)

// written returns an answer as a client sees it.
func written(a Answer) (status int, contentType, allow, body string) {
	var resp fasthttp.Response
	a.Write(&resp)
	return resp.StatusCode(), string(resp.Header.ContentType()), string(resp.Header.Peek("Allow")), string(resp.Body())
}

func TestErrorTable(t *testing.T) {
	for _, test := range []struct {
		err  *Error
		want string
	}{
		{NewError(apierror.KeyNotFound, "/a"), `404 {"errorCode":100,"message":"Key Not Found","cause":"/a"}`},
		{NewError(apierror.TestFailed, "c"), `400 {"errorCode":101,"message":"The given PrevValue is not equal to the value of the key","cause":"c"}`},
		{NewError(apierror.NotFile, "/a"), `400 {"errorCode":102,"message":"Not A File","cause":"/a"}`},
		{NewError(apierror.ValueRequired, ""), `400 {"errorCode":200,"message":"Value is Required in POST form"}`},
		{NewError(apierror.TTLNaN, "Set"), `400 {"errorCode":202,"message":"The given TTL in POST form is not a number","cause":"Set"}`},
		{NewError(apierror.IndexNaN, ""), `400 {"errorCode":203,"message":"The given index in POST form is not a number"}`},
		{NewError(apierror.InvalidField, "c"), `400 {"errorCode":209,"message":"Invalid field","cause":"c"}`},
		{NewError(apierror.RaftInternal, ""), `500 {"errorCode":300,"message":"Raft Internal Error"}`},
		{NewError(apierror.LeaderElect, ""), `500 {"errorCode":301,"message":"During Leader Election"}`},
		{NewError(apierror.Keyword, "Set"), `400 {"errorCode":400,"message":"The prefix of the given key is a keyword in etcd","cause":"Set"}`},
		{NewError(apierror.IndexCleared, "c"), `400 {"errorCode":401,"message":"The event in requested index is outdated and cleared","cause":"c"}`},
		{NewError(apierror.WatcherCleared, ""), `500 {"errorCode":500,"message":"watcher is cleared due to etcd recovery"}`},
		{HTTPError(http.StatusNotFound, "/x"), `404 {"errorCode":404,"message":"Not Found","cause":"/x"}`},
		{HTTPError(http.StatusRequestEntityTooLarge, ""), `413 {"errorCode":413,"message":"Request Entity Too Large"}`},
		{uriTooLong(), `414 {"errorCode":414,"message":"Request URI Too Long","cause":"the limit is 8192 bytes"}`},
		{Unserved(raftnode.ErrNoLeader), `500 {"errorCode":301,"message":"During Leader Election","cause":"no leader was found within the request timeout; nothing was done"}`},
		{Unserved(raftnode.ErrUnknownOutcome), `500 {"errorCode":300,"message":"Raft Internal Error","cause":"the outcome is unknown: the change may still take effect"}`},
		{Unserved(fmt.Errorf("x: %w", raftnode.ErrOverloaded)), `503 {"errorCode":503,"message":"Service Unavailable","cause":"too many requests are waiting; nothing was done"}`},
		{Unserved(errViews), `503 {"errorCode":503,"message":"Service Unavailable","cause":"too many large directories are being listed"}`},
		{Unserved(errListingTime), `503 {"errorCode":503,"message":"Service Unavailable","cause":"the directory takes too long to list"}`},
		{Unserved(errors.New("other")), `500 {"errorCode":300,"message":"Raft Internal Error","cause":"other"}`},
	} {
		status, contentType, _, body := written(test.err)
		if got := fmt.Sprint(status, " ", body); got != test.want || contentType != TypeJSON {
			t.Errorf("got  %s %s\nwant %s %s", got, contentType, test.want, TypeJSON)
		}
	}
	if status, _, allow, _ := written(methodNotAllowed("PUT", "GET, HEAD")); status != 405 || allow != "GET, HEAD" {
		t.Errorf("405: status %d, Allow %q", status, allow)
	}
}
