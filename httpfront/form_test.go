package httpfront

import (
	"bytes"
	"fmt"
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

func readTestForm(contentType, body, query string) form {
	var req fasthttp.Request
	if contentType != "" {
		req.Header.SetContentType(contentType)
	}
	req.SetBodyString(body)
	return readForm(&req, query)
}

func TestReadForm(t *testing.T) {
	multi := "multipart/form-data; boundary=XX"
	tests := []struct {
		name, contentType, body, query string
		want                           form
	}{
		{"nothing", "", "", "", nil},
		{"query", "", "", "value=a&ttl=5", form{{"value", "a"}, {"ttl", "5"}}},
		{"body before query", urlencoded, "value=body", "value=query&ttl=1", form{{"value", "body"}, {"value", "query"}, {"ttl", "1"}}},
		{"order kept", urlencoded, "b=1&a=2&b=3", "", form{{"b", "1"}, {"a", "2"}, {"b", "3"}}},
		{"escapes", urlencoded, "v%61lue=a+b%2Bc%26%3D", "", form{{"value", "a b+c&="}}},
		{"empty, and no value", urlencoded, "&&a&b=&=c&", "", form{{"a", ""}, {"b", ""}, {"", "c"}}},
		{"equals signs in the value", urlencoded, "value=a=b==", "", form{{"value", "a=b=="}}},
		{"semicolon is a character", urlencoded, "value=a;b=c", "", form{{"value", "a;b=c"}}},
		{"bad pairs are left out", urlencoded, "value=%zz&a=1&%=2&b=%4", "", form{{"a", "1"}}},
		{"case matters", urlencoded, "Value=a", "", form{{"Value", "a"}}},
		{"any bytes", urlencoded, "value=%00%ff\x01", "", form{{"value", "\x00\xff\x01"}}},
		{"media type in capitals, with parameters", "Application/X-WWW-Form-Urlencoded ; charset=utf-8", "value=a", "", form{{"value", "a"}}},
		{"JSON is no form", "application/json", "value=a", "ttl=1", form{{"ttl", "1"}}},
		{"bad media type", "application/", "value=a", "", nil},
		{"no media type", "", "value=a", "", nil},
		{"multipart", multi, multipartBody(field{`name="value"`, "a&b=\r\nc"}, field{`name=ttl`, "5"}), "value=q",
			form{{"value", "a&b=\r\nc"}, {"ttl", "5"}, {"value", "q"}}},
		{"files are not fields", multi, multipartBody(field{`name="value"; filename="f"`, "a"}, field{`name="ttl"`, "5"}), "", form{{"ttl", "5"}}},
		{"parts without a name", multi, multipartBody(field{`x="value"`, "a"}, field{`name="ttl"`, "5"}), "", form{{"ttl", "5"}}},
		{"wrong boundary", "multipart/form-data; boundary=YY", multipartBody(field{`name="value"`, "a"}), "", nil},
		{"no boundary", "multipart/form-data", multipartBody(field{`name="value"`, "a"}), "", nil},
		{"broken off", multi, strings.TrimSuffix(multipartBody(field{`name="ttl"`, "5"}, field{`name="value"`, "abc"}), "\r\n--XX--\r\n"), "", nil},
		{"other multipart", "multipart/mixed; boundary=XX", multipartBody(field{`name="value"`, "a"}), "", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := readTestForm(test.contentType, test.body, test.query); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestMaxParts(t *testing.T) {
	parts := make([]field, maxParts)
	for i := range parts {
		parts[i] = field{fmt.Sprintf(`name="f%d"`, i), "x"}
	}
	multi := "multipart/form-data; boundary=XX"
	if got := readTestForm(multi, multipartBody(parts...), ""); len(got) != maxParts {
		t.Errorf("%d of %d parts were read", len(got), maxParts)
	}
	if got := readTestForm(multi, multipartBody(append(parts, field{`name="one"`, "too many"})...), ""); got != nil {
		t.Errorf("%d of %d parts were read, want none", len(got), maxParts+1)
	}
}

func TestFormGet(t *testing.T) {
	f := form{{"a", "1"}, {"b", ""}, {"a", "2"}}
	for _, test := range []struct {
		name, value string
		ok          bool
	}{{"a", "1", true}, {"b", "", true}, {"A", "", false}, {"c", "", false}} {
		if value, ok := f.get(test.name); value != test.value || ok != test.ok {
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
		ttl, bad := form{{"ttl", test.value}}.ttl()
		switch {
		case test.bad:
			if bad == nil || bad.Code != codeTTLNaN || ttl != nil {
				t.Errorf("ttl %q: %v, %v; want error %d", test.value, ttl, bad, codeTTLNaN)
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
		readBody(contentType, []byte(body))
		if got := readTestForm(contentType, body, query); len(got) > strings.Count(body, "&")+strings.Count(query, "&")+2+maxParts {
			t.Errorf("%d fields", len(got))
		}

		got := appendPairs(nil, query)
		want, err := url.ParseQuery(query)
		if err == nil {
			for name, values := range want {
				for _, f := range got {
					if f.name != name {
						continue
					}
					if len(values) == 0 || f.value != values[0] {
						t.Fatalf("%q: field %q is %q, net/url has %q", query, name, f.value, values)
					}
					values = values[1:]
				}
				if len(values) > 0 {
					t.Fatalf("%q: field %q lacks %q", query, name, values)
				}
			}
			for _, f := range got {
				if !want.Has(f.name) {
					t.Fatalf("%q: net/url has no field %q", query, f.name)
				}
			}
		}

		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		if w.WriteField("value", body) != nil || w.WriteField("ttl", query) != nil || w.Close() != nil {
			t.Fatal("cannot write a multipart body")
		}
		sent := form{{"value", body}, {"ttl", query}}
		if got := readBody(w.FormDataContentType(), b.Bytes()); !slices.Equal(got, sent) {
			t.Errorf("multipart: got %q, want %q", got, sent)
		}
	})
}
