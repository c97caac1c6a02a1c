package httpfront

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/valyala/fasthttp"

	"etcd/raftnode"
)

// written renders an answer as a client sees it.
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
		{NewError(CodeKeyNotFound, "/a"), `404 {"errorCode":100,"message":"Key Not Found","cause":"/a"}`},
		{NewError(CodeTestFailed, "c"), `400 {"errorCode":101,"message":"The given PrevValue is not equal to the value of the key","cause":"c"}`},
		{NewError(CodeNotFile, "/a"), `400 {"errorCode":102,"message":"Not A File","cause":"/a"}`},
		{NewError(CodeValueRequired, ""), `400 {"errorCode":200,"message":"Value is Required in POST form"}`},
		{NewError(CodeTTLNaN, "Set"), `400 {"errorCode":202,"message":"The given TTL in POST form is not a number","cause":"Set"}`},
		{NewError(CodeIndexNaN, ""), `400 {"errorCode":203,"message":"The given index in POST form is not a number"}`},
		{NewError(CodeInvalidField, "c"), `400 {"errorCode":209,"message":"Invalid field","cause":"c"}`},
		{NewError(CodeRaftInternal, ""), `500 {"errorCode":300,"message":"Raft Internal Error"}`},
		{NewError(CodeLeaderElect, ""), `500 {"errorCode":301,"message":"During Leader Election"}`},
		{NewError(CodeKeyword, "Set"), `400 {"errorCode":400,"message":"The prefix of the given key is a keyword in etcd","cause":"Set"}`},
		{NewError(CodeIndexCleared, "c"), `400 {"errorCode":401,"message":"The event in requested index is outdated and cleared","cause":"c"}`},
		{NewError(CodeWatcherCleared, ""), `500 {"errorCode":500,"message":"watcher is cleared due to etcd recovery"}`},
		{HTTPError(http.StatusNotFound, "/x"), `404 {"errorCode":404,"message":"Not Found","cause":"/x"}`},
		{HTTPError(http.StatusRequestEntityTooLarge, ""), `413 {"errorCode":413,"message":"Request Entity Too Large"}`},
		{uriTooLong(), `414 {"errorCode":414,"message":"Request URI Too Long","cause":"the limit is 8192 bytes"}`},
		{Unserved(raftnode.ErrNoLeader), `500 {"errorCode":301,"message":"During Leader Election","cause":"no leader was found within the request timeout; nothing was done"}`},
		{Unserved(raftnode.ErrUnknownOutcome), `500 {"errorCode":300,"message":"Raft Internal Error","cause":"the outcome is unknown: the change may still take effect"}`},
		{Unserved(fmt.Errorf("x: %w", raftnode.ErrOverloaded)), `503 {"errorCode":503,"message":"Service Unavailable","cause":"too many requests are waiting; nothing was done"}`},
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
