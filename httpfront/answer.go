package httpfront

import (
	"encoding/json"
	"net/http"

	"github.com/valyala/fasthttp"
)

// Answer renders itself into a response.
type Answer interface{ Write(*fasthttp.Response) }

// The types of answers.
const (
	TypeJSON = "application/json"
	TypeText = "text/plain; charset=utf-8"
)

// WriteJSON renders v as the body. v is of our own types, which always marshal.
func WriteJSON(resp *fasthttp.Response, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	resp.Header.SetContentType(TypeJSON)
	resp.SetBodyRaw(body)
}

// Text is an answer in plain text.
type Text string

func (t Text) Write(resp *fasthttp.Response) {
	resp.Header.SetContentType(TypeText)
	resp.SetBodyString(string(t))
}

// NoContent is an answer without a body.
type NoContent struct{}

func (NoContent) Write(resp *fasthttp.Response) { resp.SetStatusCode(http.StatusNoContent) }

// Created is an answer in JSON for what was made by the request.
type Created struct{ Value any }

func (c Created) Write(resp *fasthttp.Response) {
	resp.SetStatusCode(http.StatusCreated)
	WriteJSON(resp, c.Value)
}

// Document is an answer in JSON.
type Document struct{ Value any }

func (d Document) Write(resp *fasthttp.Response) { WriteJSON(resp, d.Value) }
