package discovery

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	service = "the discovery service" // for people

	// A registry is looked at after that time even if it says nothing: whoever is in between may
	// have dropped the connection without a word.
	waitTimeout  = time.Minute
	maxRedirects = 5
	maxHeader    = 64 << 10 // bytes
)

// Client asks a discovery service about one token.
type Client struct {
	token string // its URL
	shown string // without a password
	http  *http.Client
	log   *slog.Logger
}

// NewClient returns a client for the URL of a token. proxy is the HTTP proxy on the way, or empty:
// then there is none, whatever the environment says.
func NewClient(token, proxy string, log *slog.Logger) (*Client, error) {
	u, err := parseToken(token)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    requestTimeout,
		MaxResponseHeaderBytes: maxHeader,
	}
	if proxy != "" {
		through, err := parseProxy(proxy)
		if err != nil {
			return nil, err
		}
		transport.Proxy = http.ProxyURL(through)
	}
	return &Client{
		token: u.String(),
		shown: u.Redacted(),
		http:  &http.Client{Transport: transport, CheckRedirect: followable},
		log:   log,
	}, nil
}

func parseToken(token string) (*url.URL, error) {
	u, err := url.Parse(token)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, errors.New("-discovery must be the URL of a token, such as https://discovery.example.com/0123456789abcdef0123456789abcdef")
	case strings.HasSuffix(u.Path, "/new"):
		return nil, fmt.Errorf("-discovery %s is the URL that makes tokens: fetch it once (curl), and give the URL that it answers with to all machines of the cluster", u.Redacted())
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Trim(u.Path, "/") == "":
		return nil, fmt.Errorf("-discovery %s must be the URL of a token: a path, and nothing behind it", u.Redacted())
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), strings.TrimRight(u.RawPath, "/")
	return u, nil
}

func parseProxy(proxy string) (*url.URL, error) {
	if !strings.Contains(proxy, "://") {
		proxy = "http://" + proxy
	}
	u, err := url.Parse(proxy)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("-discovery-proxy must be the URL of an HTTP proxy, or its host and port")
	}
	return u, nil
}

// followable refuses the redirects that would make a GET of a registration, which answers as if
// the token did not exist.
func followable(next *http.Request, before []*http.Request) error {
	switch {
	case next.Method != before[0].Method:
		return movedError{next.URL.Redacted()}
	case len(before) > maxRedirects:
		return movedError{"one place after the other"}
	}
	return nil
}

type movedError struct{ where string }

func (e movedError) Error() string {
	return "it says that it has moved to " + e.where + ": give -discovery the URL to which it has moved"
}

// Token returns the URL of the token in one form, so that machines to which it was given in another
// one derive the same IDs from it.
func (c *Client) Token() string { return c.token }

// Cluster registers this machine, unless it is registered, and returns the list when all members
// have registered. Only ctx limits how long it waits for them; it gives up earlier if the service
// does not answer, or when self cannot be one of them.
func (c *Client) Cluster(ctx context.Context, self Member) (string, error) {
	if err := self.check(); err != nil {
		return "", err
	}
	defer c.http.CloseIdleConnections()
	list, err := c.cluster(ctx, registrationOf(self))
	if err != nil {
		return "", fmt.Errorf("-discovery %s: %w", c.shown, err)
	}
	return list, nil
}

func (c *Client) cluster(ctx context.Context, self registration) (string, error) {
	size, err := c.size(ctx)
	if err != nil {
		return "", err
	}
	registered, known := false, 0
	var pause time.Duration // between a sign of news and the look at them, if there were none before
	for {
		all, index, err := c.registry(ctx)
		if err != nil {
			return "", err
		}
		members := all[:min(len(all), size)]
		list, err := together(members)
		if err != nil {
			return "", fmt.Errorf("%w: start all machines of the cluster again, with names and URLs of their own and with a new token", err)
		}
		place := slices.IndexFunc(all, func(r registration) bool { return r.id == self.id })
		switch {
		case place >= 0 && all[place].value != self.value:
			return "", fmt.Errorf("this machine has registered before as %s, and is %s now: start it as before, or all machines of the cluster with a new token",
				quote(all[place].value), self.value)
		case place < 0 && !registered && len(all) < size:
			if err := c.register(ctx, self, all); err != nil {
				return "", err
			}
			registered = true
			continue
		case place >= size, place < 0 && !registered:
			return "", fmt.Errorf("the cluster is full: this token is for %d members, and they are %s; add this machine to them (member add), or use a new token for a new cluster", size, list)
		case place >= 0 && len(all) >= size:
			c.log.Info("all members have registered with "+service, "members", list)
			return list, nil
		}
		if len(all) > known {
			c.log.Info("waiting for others to register with "+service, "registered", len(all), "of", size, "members", list)
			known, pause = len(all), 0
		}
		if c.quiet(ctx, index) {
			pause = 0
			continue
		}
		if err := sleep(ctx, pause); err != nil {
			return "", err
		}
		pause = longer(pause)
	}
}

// size returns how many members the cluster will have.
func (c *Client) size(ctx context.Context) (int, error) {
	n, err := c.get(ctx, "/_config/size")
	if !errors.Is(err, errNotFound) {
		if err != nil {
			return 0, err
		}
		return parseSize(n.Value)
	}
	if _, err = c.get(ctx, ""); err == nil {
		return 0, errors.New("the token has no _config/size, which is the number of members: put it there, or make a new token")
	}
	return 0, tokenError(err)
}

// registry returns who has registered and the index after which a change would be news.
func (c *Client) registry(ctx context.Context) ([]registration, uint64, error) {
	var index uint64
	n, err := persist(ctx, service, c.log, func(ctx context.Context) (n *node, err error) {
		n, index, err = c.ask(ctx, http.MethodGet, "", nil)
		return n, err
	})
	if err != nil {
		return nil, 0, tokenError(err)
	}
	all := registrations(n)
	for _, r := range all {
		index = max(index, r.created) // a proxy may have dropped the header
	}
	return all, index, nil
}

func tokenError(err error) error {
	if errors.Is(err, errNotFound) {
		return errors.New("it does not know this token: it may be mistyped, or too old; make a new one and give it to all machines of the cluster")
	}
	return err
}

// register adds self to those who have registered, after a look whether they can be one cluster.
func (c *Client) register(ctx context.Context, self registration, others []registration) error {
	if _, err := together(append(slices.Clone(others), self)); err != nil {
		return fmt.Errorf("%w: this machine has not registered; give it a name and a URL of its own (-name, -initial-advertise-peer-urls)", err)
	}
	_, err := persist(ctx, service, c.log, func(ctx context.Context) (*node, error) {
		n, _, err := c.ask(ctx, http.MethodPut, "/"+self.id+"?prevExist=false", url.Values{"value": {self.value}})
		return n, err
	})
	if errors.Is(err, errExists) { // an earlier attempt, whose answer was lost
		return nil
	}
	if err == nil {
		c.log.Info("registered with "+service, "id", self.id, "as", self.value)
	}
	return err
}

// quiet reports whether nothing has happened to the registry for a while. It returns false as
// soon as something has, or the service does not want to be waited on.
func (c *Client) quiet(ctx context.Context, index uint64) bool {
	ctx, cancel := context.WithTimeout(ctx, waitTimeout)
	defer cancel()
	_, _, err := c.ask(ctx, http.MethodGet, "?wait=true&recursive=true&waitIndex="+strconv.FormatUint(index+1, 10), nil)
	return err != nil && ctx.Err() != nil
}

func (c *Client) get(ctx context.Context, below string) (*node, error) {
	return persist(ctx, service, c.log, func(ctx context.Context) (*node, error) {
		n, _, err := c.ask(ctx, http.MethodGet, below, nil)
		return n, err
	})
}

// ask sends one request about the token and returns the node in the answer, and the index of the
// service's state, 0 if it does not say it.
func (c *Client) ask(ctx context.Context, method, below string, form url.Values) (*node, uint64, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.token+below, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, 0, err
	}
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, 0, classify(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, 0, transient{fmt.Errorf("its answer broke off: %w", err)}
	case len(body) > maxAnswer:
		return nil, 0, errLong
	}
	n, err := parseAnswer(response.StatusCode, body)
	index, _ := strconv.ParseUint(response.Header.Get("X-Etcd-Index"), 10, 64)
	return n, index, err
}

// classify tells what a service that is about to come may cause from what stays as it is.
func classify(err error) error {
	if withURL, ok := errors.AsType[*url.Error](err); ok {
		err = withURL.Err // those who show it have named the URL
	}
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	_, moved := errors.AsType[movedError](err)
	if untrusted || moved || errors.Is(err, http.ErrSchemeMismatch) {
		return err
	}
	return transient{err}
}
