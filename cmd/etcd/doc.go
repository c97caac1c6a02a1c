// Command etcd runs one machine of a highly available key-value store for shared
// configuration and service discovery.
//
// It owns flags, environment variables, the file of settings, help, signals, exit codes and where log lines go, and
// no logic: what a machine is and does is in package server. Exit codes are 0 after a
// requested stop, 1 when the machine cannot run or go on, 2 for an invalid command line. An
// error before the machine runs is one line on stderr.
package main
