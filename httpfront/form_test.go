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

// multipartBody renders parts in the form of curl -F.
func multipartBody(parts ...field) string {
	var b strings.Builder
	for _, p := range parts {
		fmt.Fprintf(&b, "--XX\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n", p.name, p.value)
	}
	return b.String() + "--XX--\r\n"
}

func readTestForm(contentType, body, query string) (Form, error) {
	var header fasthttp.RequestHeader
	if contentType != "" {
		header.SetContentType(contentType)
	}
	return readForm(&header, body, query)
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
		{"body before query", urlencoded, "value=body", "value=query&ttl=1", Form{{"value", "body"}, {"value", "query"}, {"ttl", "1"}}},
		{"order kept", urlencoded, "b=1&a=2&b=3", "", Form{{"b", "1"}, {"a", "2"}, {"b", "3"}}},
		{"escapes", urlencoded, "v%61lue=a+b%2Bc%26%3D", "", Form{{"value", "a b+c&="}}},
		{"empty, and no value", urlencoded, "&&a&b=&=c&", "", Form{{"a", ""}, {"b", ""}, {"", "c"}}},
		{"equals signs in the value", urlencoded, "value=a=b==", "", Form{{"value", "a=b=="}}},
		{"semicolon is a character", urlencoded, "value=a;b=c", "", Form{{"value", "a;b=c"}}},
		{"case matters", urlencoded, "Value=a", "", Form{{"Value", "a"}}},
		{"any bytes", urlencoded, "value=%00%ff\x01", "", Form{{"value", "\x00\xff\x01"}}},
		{"media type in capitals, with parameters", "Application/X-WWW-Form-Urlencoded ; charset=utf-8", "value=a", "", Form{{"value", "a"}}},
		{"multipart", multi, multipartBody(field{`name="value"`, "a&b=\r\nc"}, field{`name=ttl`, "5"}), "value=q",
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
	whole := multipartBody(field{`name="ttl"`, "5"}, field{`name="value"`, "abc"})
	long := strings.Repeat("n", 1000)
	for _, test := range []struct {
		name, contentType, body, query string
		want                           []string // parts of the error
	}{
		{"escape in a condition", urlencoded, "value=new&prevValue=100%", "", []string{`"prevValue"`, `"%"`, "%25", "--data-urlencode"}},
		{"escape in a ttl", urlencoded, "value=lock&ttl=30%", "", []string{`"ttl"`}},
		{"escape in the query", urlencoded, "value=x", "prevValue=50%&a=1", []string{`"prevValue"`, "-G"}},
		{"no hex digits", urlencoded, "value=a%zzb", "", []string{`"value"`, `"%zz"`}},
		{"escape in a name", urlencoded, "value=1&prev%Value=a", "", []string{"name", `"prev%Value"`}},
		{"escape in a field nobody asks for", urlencoded, "value=1&x=%", "", []string{`"x"`}},
		{"escape behind a long name", urlencoded, long + "=%", "", []string{long[:maxNamed] + "..."}},
		{"JSON", "application/json; charset=utf-8", `{"value":"a"}`, "value=n", []string{`"application/json"`, urlencoded}},
		{"text", "text/plain", "prevValue=wrong", "value=n", []string{`"text/plain"`}},
		{"other multipart", "multipart/mixed; boundary=XX", whole, "", []string{`"multipart/mixed"`}},
		{"bad media type", "bad/type;;;", "value=a", "", []string{`"bad/type`}},
		{"no media type", "", "value=a", "value=n", []string{"without Content-Type"}},
		{"a file", multi, multipartBody(field{`name="value"`, "n"}, field{`name="prevValue"; filename="old.txt"`, "a"}), "", []string{`"prevValue"`, "file", "--data-urlencode 'prevValue@file'"}},
		{"a file without a name", multi, multipartBody(field{`name="prevValue"; filename=""`, ""}), "", []string{`"prevValue"`, "file"}},
		{"a file whose name is encoded", multi, multipartBody(field{`name="ttl"; filename*=UTF-8''a`, "5"}), "", []string{`"ttl"`, "file"}},
		{"a part without a name", multi, multipartBody(field{`x="value"`, "a"}), "", []string{"no name"}},
		{"a part whose name cannot be read", multi, multipartBody(field{`name="value"; name="ttl"`, "a"}), "", []string{"no name"}},
		{"a part in base64", multi, "--XX\r\nContent-Disposition: form-data; name=ttl\r\nContent-Transfer-Encoding: base64\r\n\r\nNQ==\r\n--XX--\r\n", "", []string{`"ttl"`, `"base64"`}},
		{"wrong boundary", "multipart/form-data; boundary=YY", whole, "", []string{"breaks off"}},
		{"no boundary", "multipart/form-data", whole, "", []string{"breaks off"}},
		{"broken off in a part", multi, strings.TrimSuffix(whole, "\r\n--XX--\r\n"), "", []string{`"value"`, "breaks off"}},
		{"broken off between parts", multi, strings.TrimSuffix(whole, "--\r\n"), "", []string{"breaks off"}},
		{"many fields", urlencoded, strings.Repeat("a&", maxFields+1), "", []string{"more than 100"}},
		{"many fields in body and query", urlencoded, strings.Repeat("a&", maxFields), "a", []string{"more than 100"}},
		{"many parts", multi, multipartBody(slices.Repeat([]field{{`name="f"`, "x"}}, maxFields+1)...), "", []string{"more than 100"}},
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
		urlencoded: strings.Repeat("a&", maxFields),
		multi:      multipartBody(slices.Repeat([]field{{`name="f"`, "x"}}, maxFields)...),
	} {
		if got, err := readTestForm(contentType, body, ""); err != nil || len(got) != maxFields {
			t.Errorf("%s: %d of %d fields, %v", contentType, len(got), maxFields, err)
		}
	}
}

func TestCompressedForm(t *testing.T) {
	var header fasthttp.RequestHeader
	header.SetContentType(urlencoded)
	header.SetContentEncoding("gzip")
	if f, err := readForm(&header, "value=1", ""); err == nil || !strings.Contains(err.Error(), `"gzip"`) {
		t.Errorf("got %q, %v", f, err)
	}
	header.SetContentEncoding("Identity")
	if f, err := readForm(&header, "value=1", ""); err != nil || len(f) != 1 {
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

func TestTTL(t *testing.T) {
	for _, test := range []struct {
		value string
		want  int64 // 0: none
		bad   bool
	}{
		{"", 0, false}, {"5", 5, false}, {"+5", 5, false}, {"-5", -5, false}, {"007", 7, false},
		{"9223372036", maxTTL, false}, {"9223372037", 0, true}, {"99999999999999999999", 0, true},
		{"-9223372036854775808", -9223372036854775808, false}, {"-9223372036854775809", 0, true},
		{" 5", 0, true}, {"5 ", 0, true}, {"1.5", 0, true}, {"1e3", 0, true}, {"0x10", 0, true}, {"1_000", 0, true}, {"five", 0, true},
	} {
		ttl, bad := Form{{"ttl", test.value}}.ttl()
		switch {
		case test.bad:
			if bad == nil || bad.Code != CodeTTLNaN || ttl != nil {
				t.Errorf("ttl %q: %v, %v; want error %d", test.value, ttl, bad, CodeTTLNaN)
			}
		case bad != nil || (ttl == nil) != (test.want == 0) || ttl != nil && *ttl != test.want:
			t.Errorf("ttl %q: %v, %v; want %d", test.value, ttl, bad, test.want)
		}
	}
}

// The parser never panics, sees in an urlencoded string what net/url sees, and reads
// back what mime/multipart writes.
func FuzzForm(f *testing.F) {
	f.Add(urlencoded, "value=a&prevValue=%62&ttl=+5", "index=7")
	f.Add(urlencoded, "a=1;b=2&&=&%zz=1&a=%", "quorum=false")
	f.Add("multipart/form-data; boundary=XX", multipartBody(field{`name="value"`, "a"}), "a")
	f.Add("multipart/form-data; boundary=XX", "--XX\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=", "")
	f.Add("multipart/form-data; boundary=\"\"", "--\r\n\r\n----", "%")
	f.Add("a/b; c=d; c=e", "\x00", "&&&")
	f.Fuzz(func(t *testing.T, contentType, body, query string) {
		if got, err := readTestForm(contentType, body, query); len(got) > maxFields || err != nil && got != nil {
			t.Errorf("%d fields, %v", len(got), err)
		}

		got, err := appendPairs(nil, query)
		if want, wantErr := url.ParseQuery(strings.ReplaceAll(query, ";", "%3B")); !errors.Is(err, errManyFields) {
			if (err == nil) != (wantErr == nil) {
				t.Fatalf("%q: %v, net/url has %v", query, err, wantErr)
			}
			if all := (url.Values{}); err == nil {
				for _, f := range got {
					all.Add(f.name, f.value)
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
		if got, err := readFields(w.FormDataContentType(), b.String()); err != nil || !slices.Equal(got, sent) {
			t.Errorf("multipart: got %q, %v, want %q", got, err, sent)
		}
	})
}
