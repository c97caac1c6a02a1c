// Package credentials keeps the certificate, key, CA and CRL files of one side of a
// machine, the client port or the peer port, and makes TLS configurations of them.
//
// It owns reading and checking the files, noticing that they have changed, session
// ticket keys, which protocol versions and suites are spoken, what is revoked, and whose
// certificate it is that another machine shows.
//
// It promises that
//   - files that cannot work are refused by [Load], with an error that names the flag
//     and the file and says what to do;
//   - whoever begins a handshake after the files have changed gets the new ones: each
//     handshake looks at them first, which costs a stat for each file;
//   - the files are taken as a whole. If the new ones cannot work together, those
//     before stay in use, and an error is logged, once for each state of the files.
//     So a pair that is replaced one file after the other does no harm;
//   - a session is not resumed across a change of the files: everybody is verified
//     against the CAs and CRLs that are there now;
//   - what it says of the certificates of others is bounded, and can be shown anywhere.
//
// It must never start a goroutine, read a clock other than the one it is given, or
// open a connection.
package credentials
