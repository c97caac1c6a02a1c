// Package apierror is the error of v1 and v2: its JSON shape, which machines use among each
// other as well, and its codes, those of the error table of 2013.
//
// It must never know why something failed, only how that is said.
package apierror
