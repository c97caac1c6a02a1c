# A walk through the v2 API, as its documentation takes it.
v2() { path=$1; shift; curl -sS -w '%{http_code} %{content_type} X-Etcd-Index: %header{x-etcd-index}\n' "$@" "$CLIENT0/v2/$path"; }
keys() { path=$1; shift; v2 "keys/$path" "$@"; }
index() { curl -sS "$CLIENT0/v2/keys/$1" | sed 's/.*"modifiedIndex":\([0-9]*\).*/\1/'; }
watching() { until curl -sS $CLIENT0/v2/stats/store | grep -q "\"watchers\":$1}"; do sleep 0.02; done; }
names() { grep -o '"[A-Za-z/]*":'; }

curl -sS $CLIENT0/version | grep -o '"etcd[a-z]*":"'
curl -sS $CLIENT0/health
keys ''

# a key
keys message -XPUT -d value='Hello world'
keys message
keys message -I | sed -n 's/^\(HTTP[^ ]* [0-9]*\|Content-Type: .*\).*/\1/p'
keys message -XPUT -d value='Hello etcd'
keys message -XDELETE
keys message
keys message -XDELETE
keys 'with%20space/%C3%A4%2B' -XPUT --data-urlencode value='a b&c=ä;+%'
keys 'with%20space?recursive=true'

# a deadline
keys foo -XPUT -d value=bar -d ttl=100
keys foo
keys foo -XPUT -d value=bar -d ttl= -d prevExist=true
keys foo -XPUT -d value=bar -d ttl=100
keys foo -XPUT -d ttl=99 -d refresh=true -d prevExist=true
keys short -XPUT -d value=1 -d ttl=1
keys "short?wait=true&waitIndex=$(( $(index short) + 1 ))"
keys short

# waiting
keys 'foo?wait=true' > $DIR/wait & watching 1
keys 'foo?wait=true&recursive=true' > $DIR/recursive & watching 2
keys foo -XPUT -d value=waited
wait; cat $DIR/wait $DIR/recursive
begin=$(index foo)
keys foo -XPUT -d value=one
keys foo -XPUT -d value=two
keys "foo?wait=true&waitIndex=$begin"
keys "foo?wait=true&waitIndex=$((begin + 1))"
touch $DIR/stream
curl -sSN "$CLIENT0/v2/keys/?wait=true&stream=true&recursive=true" > $DIR/stream & stream=$!; watching 1
keys a/b/c -XPUT -d value=1
keys a -XDELETE -d x=y -G -d recursive=true
until [ $(cat $DIR/stream | wc -l) = 2 ]; do sleep 0.02; done
kill $stream; wait; cat $DIR/stream; watching 0

# keys in order
keys queue -XPOST -d value=job1
keys queue -XPOST -d value=job2
keys queue -XPOST -d value=job3 -d ttl=100
keys 'queue?recursive=true&sorted=true'

# directories
keys dir -XPUT -d dir=true
keys dir -XPUT -d dir=true -d ttl=100 -d prevExist=true
keys dir/asdf -XPUT -d value=1
keys dir -XPUT -d dir=true -d ttl= -d prevExist=true
keys dir -XPUT -d value=1
keys dir/asdf/below -XPUT -d value=1
keys dir
keys '?recursive=true&sorted=true'
keys 'dir?dir=true' -XDELETE
keys dir -XDELETE
keys 'dir?recursive=true' -XDELETE
keys '' -XDELETE

# compare and swap, compare and delete
keys foo -XPUT -d value=one
keys 'foo?prevExist=false' -XPUT -d value=three
keys 'foo?prevValue=two' -XPUT -d value=three
keys 'foo?prevIndex=1' -XPUT -d value=three
keys 'foo?prevValue=one' -XPUT -d value=two
keys "foo?prevIndex=$(index foo)" -XPUT -d value=three
keys nothing -XPUT -d value=1 -d prevExist=true
keys new -XPUT -d value=1 -d prevExist=false
keys 'foo?prevValue=two' -XDELETE
keys 'foo?prevIndex=1' -XDELETE
keys 'foo?prevValue=three' -XDELETE
keys "new?prevIndex=$(index new)" -XDELETE
keys 'big?noValueOnSuccess=true' -XPUT -d value=unseen
keys big -XPUT -d value=unseen -d prevValue=unseen -d noValueOnSuccess=true

# a hidden key, a file, a consistent read
keys _message -XPUT -d value='Hello hidden world'
keys message -XPUT -d value='Hello world'
keys '?sorted=true'
keys _message
printf 'of a\nfile' > $DIR/file
keys afile -XPUT --data-urlencode value@$DIR/file
keys 'afile?quorum=true'

# what is refused
keys foo -XPUT -d value=x -d ttl=99 -d refresh=true -d prevExist=true
keys foo -XPUT -d value=1 -d ttl=soon
keys foo -XPUT -d value=1 -d prevExist=maybe
keys foo -XPUT -d value=1 -d prevIndex=x
keys foo -XPUT -d value=1 -d dir=maybe
keys 'foo?wait=maybe'
keys 'foo?wait=true&waitIndex=x'
keys 'foo?recursive=maybe'
keys 'foo?sorted=maybe'
keys 'foo?prevValue=' -XPUT -d value=1
keys foo -XPATCH -d value=1

# the cluster
v2 members | sed 's/X-Etcd-Index.*//'
v2 members/leader | sed 's/X-Etcd-Index.*//'
v2 machines | sed 's/X-Etcd-Index.*//'
v2 members -H 'Content-Type: application/json' -d '{"peerURLs": ["ftp://'$OTHER0'"]}' -o /dev/null -w '%{http_code}\n'
v2 members/1234567890abcdef -XDELETE -w '%{http_code}\n'
v2 members/xyz -XDELETE -w '%{http_code}\n'
v2 stats/self | names
v2 stats/leader | names
v2 stats/store | names
v2 nothing -w '%{http_code}\n'
