package httpfront

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"mime/multipart"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

// multipartBody renders parts as curl -F does.
func multipartBody(parts ...Field) string {
	var b strings.Builder
	for _, p := range parts {
		fmt.Fprintf(&b, "--XX\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n", p.Name, p.Value)
	}
	return b.String() + "--XX--\r\n"
}

func readTestForm(contentType, body, query string) (Form, error) {
	var header fasthttp.RequestHeader
	if contentType != "" {
		header.SetContentType(contentType)
	}
	return readForm(nil, &header, body, query)
}

func TestReadForm(t *testing.T) {
	multi := "multipart/form-data; boundary=XX"
	tests := []struct {
		name, contentType, body, query string
		want                           Form
	}{
		{"nothing", "", "", "", nil},
		{"a type but no body", "application/json", "", "ttl=1", Form{{"ttl", "1"}}},
		{"query", "", "", "value=a&ttl=5", Form{{"value", "a"}, {"ttl", "5"}}},
		{"body before query", TypeForm, "value=body", "value=query&ttl=1", Form{{"value", "body"}, {"value", "query"}, {"ttl", "1"}}},
		{"order kept", TypeForm, "b=1&a=2&b=3", "", Form{{"b", "1"}, {"a", "2"}, {"b", "3"}}},
		{"escapes", TypeForm, "v%61lue=a+b%2Bc%26%3D", "", Form{{"value", "a b+c&="}}},
		{"empty, and no value", TypeForm, "&&a&b=&=c&", "", Form{{"a", ""}, {"b", ""}, {"", "c"}}},
		{"equals signs in the value", TypeForm, "value=a=b==", "", Form{{"value", "a=b=="}}},
		{"semicolon is a character", TypeForm, "value=a;b=c", "", Form{{"value", "a;b=c"}}},
		{"case matters", TypeForm, "Value=a", "", Form{{"Value", "a"}}},
		{"any bytes", TypeForm, "value=%00%ff\x01", "", Form{{"value", "\x00\xff\x01"}}},
		{"media type in capitals, with parameters", "Application/X-WWW-Form-Urlencoded ; charset=utf-8", "value=a", "", Form{{"value", "a"}}},
		{"multipart", multi, multipartBody(Field{`name="value"`, "a&b=\r\nc"}, Field{`name=ttl`, "5"}), "value=q",
			Form{{"value", "a&b=\r\nc"}, {"ttl", "5"}, {"value", "q"}}},
		{"multipart in other codings", multi, "--XX\r\nContent-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=35\r\n" +
			"--XX\r\nContent-Disposition: form-data; name=b\r\nContent-Transfer-Encoding: Binary\r\n\r\n\xff\r\n--XX--\r\n", "", Form{{"a", "5"}, {"b", "\xff"}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := readTestForm(test.contentType, test.body, test.query)
			if err != nil || !slices.Equal(got, test.want) {
				t.Errorf("got %q, %v; want %q", got, err, test.want)
			}
		})
	}
}

// What cannot be read whole is an error that names it, and nothing is taken from it.
func TestUnreadableForm(t *testing.T) {
	multi := "multipart/form-data; boundary=XX"
	whole := multipartBody(Field{`name="ttl"`, "5"}, Field{`name="value"`, "abc"})
	long := strings.Repeat("n", 1000)
	for _, test := range []struct {
		name, contentType, body, query string
		want                           []string // parts of the error
	}{
		{"escape in a condition", TypeForm, "value=new&prevValue=100%", "", []string{`"prevValue"`, `"%"`, "%25", "--data-urlencode"}},
		{"escape in a ttl", TypeForm, "value=lock&ttl=30%", "", []string{`"ttl"`}},
		{"escape in the query", TypeForm, "value=x", "prevValue=50%&a=1", []string{`"prevValue"`, "-G"}},
		{"no hex digits", TypeForm, "value=a%zzb", "", []string{`"value"`, `"%zz"`}},
		{"escape in a name", TypeForm, "value=1&prev%Value=a", "", []string{"name", `"prev%Value"`}},
		{"escape in a field nobody asks for", TypeForm, "value=1&x=%", "", []string{`"x"`}},
		{"escape behind a long name", TypeForm, long + "=%", "", []string{long[:maxQuoted] + "..."}},
		{"JSON", "application/json; charset=utf-8", `{"value":"a"}`, "value=n", []string{`"application/json"`, TypeForm}},
		{"text", "text/plain", "prevValue=wrong", "value=n", []string{`"text/plain"`}},
		{"other multipart", "multipart/mixed; boundary=XX", whole, "", []string{`"multipart/mixed"`}},
		{"bad media type", "bad/type;;;", "value=a", "", []string{`"bad/type`}},
		{"no media type", "", "value=a", "value=n", []string{"without Content-Type"}},
		{"a file", multi, multipartBody(Field{`name="value"`, "n"}, Field{`name="prevValue"; filename="old.txt"`, "a"}), "", []string{`"prevValue"`, "file", "--data-urlencode 'prevValue@file'"}},
		{"a file without a name", multi, multipartBody(Field{`name="prevValue"; filename=""`, ""}), "", []string{`"prevValue"`, "file"}},
		{"a file whose name is encoded", multi, multipartBody(Field{`name="ttl"; filename*=UTF-8''a`, "5"}), "", []string{`"ttl"`, "file"}},
		{"a part without a name", multi, multipartBody(Field{`x="value"`, "a"}), "", []string{"no name"}},
		{"a part whose name cannot be read", multi, multipartBody(Field{`name="value"; name="ttl"`, "a"}), "", []string{"no name"}},
		{"a part in base64", multi, "--XX\r\nContent-Disposition: form-data; name=ttl\r\nContent-Transfer-Encoding: base64\r\n\r\nNQ==\r\n--XX--\r\n", "", []string{`"ttl"`, `"base64"`}},
		{"wrong boundary", "multipart/form-data; boundary=YY", whole, "", []string{"breaks off"}},
		{"no boundary", "multipart/form-data", whole, "", []string{"breaks off"}},
		{"broken off in a part", multi, strings.TrimSuffix(whole, "\r\n--XX--\r\n"), "", []string{`"value"`, "breaks off"}},
		{"broken off between parts", multi, strings.TrimSuffix(whole, "--\r\n"), "", []string{"breaks off"}},
		{"many fields", TypeForm, strings.Repeat("a&", maxFields+1), "", []string{"more than 100"}},
		{"many fields in body and query", TypeForm, strings.Repeat("a&", maxFields), "a", []string{"more than 100"}},
		{"many parts", multi, multipartBody(slices.Repeat([]Field{{`name="f"`, "x"}}, maxFields+1)...), "", []string{"more than 100"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := readTestForm(test.contentType, test.body, test.query)
			if err == nil || got != nil {
				t.Fatalf("got %q, %v; want an error", got, err)
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q lacks %q", err, part)
				}
			}
			if len(err.Error()) > 300 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
	for contentType, body := range map[string]string{
		TypeForm: strings.Repeat("a&", maxFields),
		multi:    multipartBody(slices.Repeat([]Field{{`name="f"`, "x"}}, maxFields)...),
	} {
		if got, err := readTestForm(contentType, body, ""); err != nil || len(got) != maxFields {
			t.Errorf("%s: %d of %d fields, %v", contentType, len(got), maxFields, err)
		}
	}
}

func TestCompressedForm(t *testing.T) {
	var header fasthttp.RequestHeader
	header.SetContentType(TypeForm)
	header.SetContentEncoding("gzip")
	if f, err := readForm(nil, &header, "value=1", ""); err == nil || !strings.Contains(err.Error(), `"gzip"`) {
		t.Errorf("got %q, %v", f, err)
	}
	header.SetContentEncoding("Identity")
	if f, err := readForm(nil, &header, "value=1", ""); err != nil || len(f) != 1 {
		t.Errorf("got %q, %v", f, err)
	}
}

func TestFormGet(t *testing.T) {
	f := Form{{"a", "1"}, {"b", ""}, {"a", "2"}}
	for _, test := range []struct {
		name, value string
		ok          bool
	}{{"a", "1", true}, {"b", "", true}, {"A", "", false}, {"c", "", false}} {
		if value, ok := f.Get(test.name); value != test.value || ok != test.ok {
			t.Errorf("get(%q) = %q, %v; want %q, %v", test.name, value, ok, test.value, test.ok)
		}
	}
}

// The parser never panics, parses an urlencoded string as net/url does, and reads back what
// mime/multipart writes.
func FuzzForm(f *testing.F) {
	f.Add(TypeForm, "value=a&prevValue=%62&ttl=+5", "index=7")
	f.Add(TypeForm, "a=1;b=2&&=&%zz=1&a=%", "quorum=false")
	f.Add("multipart/form-data; boundary=XX", multipartBody(Field{`name="value"`, "a"}), "a")
	f.Add("multipart/form-data; boundary=XX", "--XX\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=", "")
	f.Add("multipart/form-data; boundary=\"\"", "--\r\n\r\n----", "%")
	f.Add("a/b; c=d; c=e", "\x00", "&&&")
	f.Fuzz(func(t *testing.T, contentType, body, query string) {
		if got, err := readTestForm(contentType, body, query); len(got) > maxFields || err != nil && got != nil {
			t.Errorf("%d fields, %v", len(got), err)
		}

		got, err := appendPairs(nil, query)
		if want, wantErr := url.ParseQuery(strings.ReplaceAll(query, ";", "%3B")); !errors.Is(err, errTooManyFields) {
			if (err == nil) != (wantErr == nil) {
				t.Fatalf("%q: %v, net/url has %v", query, err, wantErr)
			}
			if all := (url.Values{}); err == nil {
				for _, f := range got {
					all.Add(f.Name, f.Value)
				}
				if !maps.EqualFunc(all, want, slices.Equal) {
					t.Fatalf("%q: %q, net/url has %q", query, all, want)
				}
			}
		}

		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		if w.WriteField("value", body) != nil || w.WriteField("ttl", query) != nil || w.Close() != nil {
			t.Fatal("cannot write a multipart body")
		}
		sent := Form{{"value", body}, {"ttl", query}}
		if got, err := readFields(nil, []byte(w.FormDataContentType()), b.String()); err != nil || !slices.Equal(got, sent) {
			t.Errorf("multipart: got %q, %v, want %q", got, err, sent)
		}
	})
}
