# The commands of etcdctl for keys, compaction, endpoints and members.
# Each prints its exit code when it is done. The commands go to the first machine, if they do not say otherwise.
at() { command $ETCDCTL --command-timeout 30s --endpoints "$@" 2>&1; echo "exit code $?"; }
etcdctl() { at $CLIENT0 "$@"; }
revision() { command $ETCDCTL --endpoints $CLIENT0 get x -w json | sed 's/.*"revision":\([0-9]*\).*/\1/'; }

# put, get
etcdctl put a one
etcdctl put a two --prev-kv
etcdctl put -w json a three --prev-kv
etcdctl put -w fields b 1
etcdctl get a
etcdctl get a -w json
etcdctl get a -w fields
etcdctl get nothing
etcdctl get --print-value-only a
etcdctl put b/1 -- -5
printf 'from\nstandard input' | etcdctl put b/2
etcdctl put b/3 '5 & ö = "x"'
etcdctl get --hex b/3
etcdctl put --ignore-value a
etcdctl put --ignore-value nothing
etcdctl put --ignore-lease a four
etcdctl put --ignore-lease nothing 1
etcdctl put --lease=77 a five
etcdctl put '' 1
etcdctl get ''
etcdctl get --prefix ''
etcdctl get --prefix b
etcdctl get --prefix b --limit 2
etcdctl get --prefix b --keys-only
etcdctl get --prefix b --count-only -w fields
etcdctl get --prefix b -w json
etcdctl get --from-key b/2
etcdctl get a b/2
etcdctl get b a
etcdctl get --prefix b --order DESCEND
etcdctl get --prefix b --sort-by VALUE
etcdctl get --prefix b --sort-by CREATE --order DESCEND
etcdctl get --prefix b --sort-by VERSION --limit 1
etcdctl get --prefix b --sort-by nonsense
etcdctl get --consistency=s a
etcdctl get --consistency=nonsense a
etcdctl get --rev $(($(revision) - 5)) --prefix ''
etcdctl get --rev $(($(revision) + 5)) a
etcdctl get --rev 1 a

# txn
etcdctl txn <<.
value("a") = "four"
version("b/1") = "1"

put c "by a txn"
get c
del b/1

put c "not by a txn"

.
etcdctl txn -w json <<.
mod("a") > "100000"
create("b") < "2"
value("c") != "by a txn"
value("c") > "a"
value("c") < "b"

put c 1

get --prefix b
del --prefix b --prev-kv

.
etcdctl txn <<.


put d 1
put d 2


.
etcdctl txn -w fields <<.
version("nothing") = "0"

put e 1
get e --rev 100000


.
etcdctl get --prefix '' -w fields

# del
etcdctl put --ignore-value c
etcdctl del c --prev-kv
etcdctl del c
etcdctl put f 1
etcdctl put f/1 2
etcdctl put g 3
etcdctl del --prefix f -w json
etcdctl put f 1
etcdctl del f g --prev-kv
etcdctl del --from-key g --prev-kv
etcdctl del ''

# compaction
etcdctl put h 1
etcdctl put h 2
etcdctl compaction $(revision)
etcdctl compaction $(revision)
etcdctl get --rev $(($(revision) - 1)) h
etcdctl get --rev $(revision) h
etcdctl compaction $(($(revision) + 1))
etcdctl put h 3
etcdctl compaction --physical $(revision)
etcdctl compaction 1
etcdctl compaction nonsense

# endpoint, member
at $CLIENTS endpoint health | sort
at $CLIENTS endpoint health -w json | tr '{}' '\n\n' | sort
etcdctl endpoint health --cluster | sort
etcdctl endpoint status -w json
etcdctl endpoint status -w fields
etcdctl endpoint status --cluster -w json | tr , '\n' | grep -c '"isLearner":true\|"errors"'
etcdctl member list
etcdctl member list -w json
etcdctl member list -w fields
etcdctl member list -w table
etcdctl member list --hex -w json
at $CLIENTS get --prefix '' -w json | sed 's/"member_id":[0-9]*//'

# and nothing is left
etcdctl del --prefix '' | sed 1d
at $OTHER --dial-timeout 100ms --command-timeout 200ms get a
