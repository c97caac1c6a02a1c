// Package discovery finds the list of the machines that found a cluster together, which package
// bootstrap reads, where nobody has written it down: with a discovery service ([Client],
// -discovery) or in DNS ([SRV], -discovery-srv).
//
// It owns the protocol of discovery services, which is that of etcd 2 and its v2 API: a token is
// a directory, in which every machine registers itself once, and the first of them, as many as
// _config/size says, are the cluster. It also owns the names of the SRV records, which of them is
// this machine, and how long it asks somebody who does not answer.
//
// It promises that
//   - all machines that get a list from one token get the same one, and all that get one from the
//     same records get the same URLs;
//   - it is as good to ask again as to ask once: a machine that was stopped in between goes on
//     where it was, and a lost answer does no harm;
//   - what others have registered is checked before it is passed on, and bounded before it is
//     shown;
//   - nobody is registered who could not be a member, as far as the service knows then;
//   - a context that ends ends everything.
//
// It must never decide who a member is once the cluster exists, derive an ID, or touch a disk.
package discovery
