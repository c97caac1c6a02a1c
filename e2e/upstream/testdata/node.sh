# A walk through the functions of node-etcd, but for machines and leader, for which it asks at
# paths that etcd 3.4 does not have.
node $NODE/walk.js $CLIENT0
