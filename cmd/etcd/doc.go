// Command etcd runs one machine of a highly available key-value store for shared
// configuration and service discovery.
//
// It owns flags, variables of the environment, help, signals, exit codes and where log
// lines go, and no logic: what a machine is and does is in package server. Exit codes are
// 0 after a stop that was asked for, 1 when the machine cannot run or go on, 2 for a wrong
// command line. What goes wrong before the machine runs is one line on stderr.
package main
