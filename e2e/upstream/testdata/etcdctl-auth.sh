# The commands of etcdctl with ETCDCTL_API=2 for users and roles. An error ends in an index,
# which says nothing here.
export ETCDCTL_API=2 ETCDCTL_ENDPOINTS=$CLIENT0
etcdctl() { command etcdctl --no-sync --timeout 30s --total-timeout 60s "$@" > $DIR/out 2>&1; code=$?; sed 's/ \[[0-9]*\]$//' $DIR/out; echo "exit code $code"; }

etcdctl user list
etcdctl auth enable
etcdctl user add root:secret
etcdctl user add user:secret
echo secret | etcdctl user add typed
echo | etcdctl user add nopassword
etcdctl role list
etcdctl role add role
etcdctl role add role
etcdctl role add root
etcdctl role grant --path '/a/*' --readwrite role
etcdctl role grant --path '/a/*' --read role
etcdctl role grant --path /b --read role
etcdctl role grant --path /c --write role
etcdctl role get role
etcdctl role get nothing
etcdctl role list
etcdctl user grant --roles role user
etcdctl user grant --roles role user
etcdctl user get user
etcdctl user get nobody
etcdctl user list
etcdctl set /b public

etcdctl auth enable
etcdctl auth enable
etcdctl -u root:secret auth enable
etcdctl user list
etcdctl -u user:secret user list
etcdctl -u root:secret user list
etcdctl -u user:secret set /a/1 1
etcdctl -u user:secret set /b 1
etcdctl -u user:secret get /b
etcdctl -u user:secret set /c 1
etcdctl -u user:secret ls /a
etcdctl -u user:wrong get /b
etcdctl -u nobody:secret get /b
etcdctl -u typed:secret get /a/1
etcdctl set /guest 1
etcdctl -u root:secret role get guest
etcdctl -u root:secret role revoke --path '/*' --write guest
etcdctl set /guest 1
etcdctl get /guest
echo new | etcdctl -u root:secret user passwd user
etcdctl -u user:secret set /a/1 2
etcdctl -u user:new set /a/1 2
etcdctl -u root:secret role revoke --path '/a/*' --write role
etcdctl -u user:new set /a/1 3
etcdctl -u user:new get /a/1
etcdctl -u root:secret role revoke --path /nothing --read role
etcdctl -u root:secret role get role
etcdctl -u root:secret user revoke --roles role user
etcdctl -u root:secret user get user
etcdctl -u root:secret user remove user
etcdctl -u root:secret user remove user
etcdctl -u root:secret user remove root
etcdctl -u root:secret role remove role
etcdctl -u root:secret role remove role
etcdctl -u root:secret role remove root
etcdctl -u root:secret role remove guest
etcdctl get /guest

etcdctl auth disable
etcdctl -u root:secret auth disable
etcdctl -u root:secret auth disable
etcdctl user list
etcdctl role list
etcdctl get /guest
