package discovery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"

	"etcd/endpoint"
	"etcd/store"
)

// Resolver looks names up; *net.Resolver does.
type Resolver interface {
	LookupSRV(ctx context.Context, service, proto, name string) (cname string, records []*net.SRV, err error)
	LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error)
}

// The services whose SRV records are the members, for each scheme by which they reach each other.
const (
	serviceHTTPS = "etcd-server-ssl"
	serviceHTTP  = "etcd-server"
)

// SRV finds members in the SRV records of a domain.
type SRV struct {
	domain   string
	suffix   string // of the names of the services
	resolver Resolver
	log      *slog.Logger
}

// NewSRV returns what looks into domain. name tells several clusters in it apart; it may be empty.
func NewSRV(domain, name string, resolver Resolver, log *slog.Logger) (*SRV, error) {
	if endpoint.CheckHost(domain) != nil {
		return nil, errors.New("-discovery-srv must be a domain, such as example.com")
	}
	s := &SRV{domain: strings.TrimSuffix(domain, "."), resolver: resolver, log: log}
	if name != "" {
		s.suffix = "-" + name
		if strings.Contains(name, ".") || endpoint.CheckHost(serviceHTTPS+s.suffix) != nil {
			return nil, errors.New("-discovery-srv-name must be letters, digits and hyphens, and not too long for a part of a DNS name")
		}
	}
	return s, nil
}

// Cluster returns the list of the members that the records name. In it self has its own name, and
// the URL that the record has: the others know it by that. The others are called by their place in
// the order of the URLs, because DNS knows no names of machines.
func (s *SRV) Cluster(ctx context.Context, self Member) (string, error) {
	if err := self.check(); err != nil {
		return "", err
	}
	list, err := s.cluster(ctx, self)
	if err != nil {
		return "", fmt.Errorf("-discovery-srv %s: %w", s.domain, err)
	}
	return list, nil
}

func (s *SRV) cluster(ctx context.Context, self Member) (string, error) {
	https, err := s.records(ctx, serviceHTTPS)
	if err != nil {
		return "", err
	}
	http, err := s.records(ctx, serviceHTTP)
	if err != nil {
		return "", err
	}
	scheme, targets := "https", https
	if len(https) == 0 {
		scheme, targets = "http", http
	}
	switch {
	case len(https) > 0 && len(http) > 0:
		return "", fmt.Errorf("there are records of both %s and %s, and the machines of a cluster reach each other either by https or by http: remove those of the other",
			s.query(serviceHTTPS), s.query(serviceHTTP))
	case len(targets) == 0:
		return "", fmt.Errorf("there are no records of %s (for https) or %s (for http): add one for each member", s.query(serviceHTTPS), s.query(serviceHTTP))
	}
	own, err := s.ownTarget(ctx, scheme, targets, self)
	if err != nil {
		return "", err
	}
	pairs := make([]string, len(targets))
	for i, t := range targets {
		name := strconv.Itoa(i)
		switch {
		case i == own:
			name = self.Name
		case name == self.Name:
			name = strconv.Itoa(len(targets)) // which nobody else has
		}
		pairs[i] = name + "=" + endpoint.URL(scheme, t.addr())
	}
	list := strings.Join(pairs, ",")
	s.log.Info("members found in DNS", "members", list)
	return list, nil
}

// query returns the name under which the records of a service are.
func (s *SRV) query(service string) string {
	return "_" + service + s.suffix + "._tcp." + s.domain
}

// target is where a record says that a member is.
type target struct {
	host string
	port uint16
}

func (t target) addr() string { return net.JoinHostPort(t.host, strconv.Itoa(int(t.port))) }

// records returns the targets of a service in an order of their own: that of the records is
// different for each who asks.
func (s *SRV) records(ctx context.Context, service string) ([]target, error) {
	found, err := persist(ctx, "DNS", s.log, func(ctx context.Context) ([]*net.SRV, error) {
		_, found, err := s.resolver.LookupSRV(ctx, service+s.suffix, "tcp", s.domain)
		return found, classifyLookup(err)
	})
	if isNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot look up %s: %w", s.query(service), err)
	}
	if len(found) > store.MaxMembers {
		return nil, fmt.Errorf("there are %d records of %s, and a cluster has at most %d members", len(found), s.query(service), store.MaxMembers)
	}
	targets := make([]target, len(found))
	for i, record := range found {
		targets[i] = target{strings.TrimSuffix(record.Target, "."), record.Port}
		if err := endpoint.CheckAddress(targets[i].addr()); err != nil {
			return nil, fmt.Errorf("a record of %s has the target %s, which is not valid: %w", s.query(service), quote(targets[i].addr()), err)
		}
	}
	slices.SortFunc(targets, func(a, b target) int { return strings.Compare(a.addr(), b.addr()) })
	return slices.Compact(targets), nil
}

// ownTarget returns which of the targets is this machine: the one at the address that it
// advertises, or else the one whose name has the same address in DNS.
func (s *SRV) ownTarget(ctx context.Context, scheme string, targets []target, self Member) (int, error) {
	advertised, err := endpoint.Address(self.PeerURL)
	if err != nil {
		return 0, err
	}
	if endpoint.Scheme(self.PeerURL) != scheme {
		return 0, fmt.Errorf("the members reach each other by %s, as the records say, and this machine advertises %s (-initial-advertise-peer-urls)", scheme, self.PeerURL)
	}
	if own := slices.IndexFunc(targets, func(t target) bool { return strings.EqualFold(t.addr(), advertised) }); own >= 0 {
		return own, nil
	}
	own, unresolved, err := s.byAddress(ctx, targets, advertised)
	if err != nil {
		return 0, err
	}
	switch len(own) {
	case 1:
		return own[0], nil
	case 0:
		because := ""
		if len(unresolved) > 0 {
			because = "; these names have no address: " + strings.Join(unresolved, ", ")
		}
		return 0, fmt.Errorf("the members are %s, as the records say, and none of them is at an address that this machine advertises, %s%s: add a record for it, or correct -initial-advertise-peer-urls",
			inWords(targets), advertised, because)
	}
	same := make([]target, len(own))
	for i, index := range own {
		same[i] = targets[index]
	}
	return 0, fmt.Errorf("the records have this machine, which advertises %s, more than once: %s; a member has one record", advertised, inWords(same))
}

// byAddress returns which targets are at the advertised address once both are looked up, and the
// names that nobody knows.
func (s *SRV) byAddress(ctx context.Context, targets []target, advertised string) (own []int, unresolved []string, err error) {
	host, port, err := net.SplitHostPort(advertised)
	if err != nil {
		return nil, nil, err
	}
	at, err := s.addresses(ctx, host)
	if err != nil {
		return nil, nil, err
	}
	if len(at) == 0 {
		unresolved = append(unresolved, host)
	}
	for i, t := range targets {
		if strconv.Itoa(int(t.port)) != port {
			continue
		}
		its, err := s.addresses(ctx, t.host)
		if err != nil {
			return nil, nil, err
		}
		if len(its) == 0 {
			unresolved = append(unresolved, t.host)
		}
		if slices.ContainsFunc(its, func(addr string) bool { return slices.Contains(at, addr) }) {
			own = append(own, i)
		}
	}
	return own, unresolved, nil
}

// addresses returns the IP addresses of a host, none if nobody knows it.
func (s *SRV) addresses(ctx context.Context, host string) ([]string, error) {
	ips, err := persist(ctx, "DNS", s.log, func(ctx context.Context) ([]net.IPAddr, error) {
		ips, err := s.resolver.LookupIPAddr(ctx, host)
		return ips, classifyLookup(err)
	})
	if isNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot look up %s: %w", host, err)
	}
	all := make([]string, len(ips))
	for i, ip := range ips {
		all[i] = ip.String()
	}
	return all, nil
}

func inWords(targets []target) string {
	all := make([]string, len(targets))
	for i, t := range targets {
		all[i] = t.addr()
	}
	return strings.Join(all, ", ")
}

// classifyLookup tells a DNS server that does not answer from one that says no.
func classifyLookup(err error) error {
	if dns, ok := errors.AsType[*net.DNSError](err); ok && (dns.IsTimeout || dns.IsTemporary) && !dns.IsNotFound {
		return transient{err}
	}
	return err
}

func isNotFound(err error) bool {
	dns, ok := errors.AsType[*net.DNSError](err)
	return ok && dns.IsNotFound
}
