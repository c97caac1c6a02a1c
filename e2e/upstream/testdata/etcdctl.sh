# The commands of etcdctl with ETCDCTL_API=2 for keys.
# Each prints its exit code when it is done.
export ETCDCTL_API=2 ETCDCTL_ENDPOINTS=$CLIENT0
etcdctl() { command etcdctl --timeout 30s --total-timeout 60s "$@" 2>&1; echo "exit code $?"; }
watching() { until curl -s $CLIENT0/v2/stats/store | grep -q "\"watchers\":$1}"; do sleep 0.02; done; }
index() { command etcdctl -o extended get "$1" | sed -n 's/^Modified-Index: //p'; }

etcdctl ls

# mk, set, update, get, rm
etcdctl mk /a one
etcdctl mk /a two
etcdctl get /a
etcdctl get /nothing
etcdctl set /a two
etcdctl set --swap-with-value two /a three
etcdctl set --swap-with-value two /a four
etcdctl set --swap-with-index $(index /a) /a four
etcdctl set --swap-with-index 1 /a 5
etcdctl set /a/b 1
etcdctl update /a 5
etcdctl update /nothing 5
etcdctl update --ttl 100 /a 6
etcdctl -o extended get /a
etcdctl -o json get /a
etcdctl get --quorum --sort /a
etcdctl set --ttl 100 /a '-5 & ö = "x"'
etcdctl set -- /a -5
printf 'from\nstandard input' | etcdctl set /a
etcdctl mk --ttl 100 /short 1
etcdctl -o extended mk /extended 1
etcdctl -o json set /extended 2
etcdctl rm --with-value one /a
etcdctl rm --with-index 1 /a
etcdctl rm --with-index $(index /a) /a
etcdctl rm /a
etcdctl -o json rm /short

# directories
etcdctl mkdir /d
etcdctl mkdir /d
etcdctl mkdir --ttl 100 /d/e
etcdctl -o json mkdir /d/f
etcdctl setdir /d/g
etcdctl setdir --ttl 100 /d/g
etcdctl setdir /extended
etcdctl updatedir --ttl 100 /d/g
etcdctl updatedir /nothing
etcdctl mk --in-order /d/queue one
etcdctl mk --in-order --ttl 100 /d/queue two
etcdctl set /d/_hidden 1
etcdctl get /d
etcdctl set /d 1
etcdctl ls --sort /
etcdctl ls --sort -p /d
etcdctl ls --sort --recursive -p /d
etcdctl ls --recursive --quorum --sort
etcdctl ls /nothing
etcdctl -o json ls --sort --recursive /d
etcdctl rmdir /d
etcdctl rmdir /d/f
etcdctl rm --dir /d/g
etcdctl rm /d
etcdctl rm --recursive /d
etcdctl rmdir /nothing

# watch and exec-watch
etcdctl set /begin 0
begin=$(index /begin)
etcdctl set /w/a one
etcdctl set /w/a 2
etcdctl update /w/a three
etcdctl rm /w/a
etcdctl watch --after-index $begin /w/a
etcdctl -o extended watch --recursive --after-index $begin /w
etcdctl -o json watch --after-index $begin /w/a
touch $DIR/watch $DIR/forever $DIR/exec
etcdctl watch --recursive /w > $DIR/watch & watching 1
(exec etcdctl watch --recursive --forever /w > $DIR/forever) & forever=$!; watching 2
(exec etcdctl exec-watch --recursive /w -- sh -c 'env | grep ^ETCD_WATCH_ | sort >> $DIR/exec') & exec=$!; watching 3
etcdctl set --ttl 100 /w/b 1
etcdctl set /w/b 2
lines() { until [ "$(cat $DIR/$1 | wc -l)" -ge $2 ]; do sleep 0.02; done; cat $DIR/$1; }
lines watch 2
lines forever 2
lines exec 8
kill $forever $exec; wait
watching 0
