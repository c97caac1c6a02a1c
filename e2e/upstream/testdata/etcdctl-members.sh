# The commands of etcdctl with ETCDCTL_API=2 for members, of which there are three.
export ETCDCTL_API=2 ETCDCTL_ENDPOINTS=$CLIENT0,$CLIENT1,$CLIENT2
etcdctl() { command etcdctl --timeout 30s --total-timeout 60s "$@" 2>&1; echo "exit code $?"; }
unordered() { sed 's/^\(member \)\?[0-9a-f]\{12,16\}\(\[unstarted\]\)\?/\1ID\2/; s/isLeader=.*/isLeader=?/' | sort; }
member() { command etcdctl member list | grep "$1" | cut -d: -f1 | cut -d'[' -f1; }

etcdctl cluster-health | unordered
etcdctl member list | unordered
command etcdctl member list | grep -c isLeader=true
etcdctl ls /

etcdctl member add new not-a-url
etcdctl member add new $PEER1
etcdctl member add new $OTHER0 | sed '/^ETCD_INITIAL_CLUSTER=/s/"//g' | tr '=,' '\n\n' | grep -v '^machine[0-9]' | sort
etcdctl member list | unordered
etcdctl member update $(member unstarted) $PEER1
etcdctl member update $(member unstarted) not-a-url
etcdctl member update $(member unstarted) $OTHER1
etcdctl member list | unordered
etcdctl member update 1234567890abcdef $OTHER0
etcdctl member remove 1234567890abcdef
etcdctl member remove not-an-id
etcdctl member remove $(member unstarted)
etcdctl member list | unordered
etcdctl member remove $(member machine2)
export ETCDCTL_ENDPOINTS=$CLIENT0,$CLIENT1
until command etcdctl cluster-health > $DIR/health; do sleep 0.1; done # it may have been the leader
etcdctl member list | unordered
etcdctl cluster-health | unordered
etcdctl set /a 1
