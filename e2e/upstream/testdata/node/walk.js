'use strict';

const Etcd = require('node-etcd');

const etcd = new Etcd(process.argv[2]);

function show(what, err, body, headers) {
  console.log(what, JSON.stringify(err ? err.error || err.errors || err.message : body));
  if (headers && headers['x-etcd-index']) {
    console.log('X-Etcd-Index:', headers['x-etcd-index']);
  }
}

// call calls a function and shows what it gives to its callback.
function call(name, ...args) {
  return new Promise((resolve) => {
    etcd[name](...args, (err, body, headers) => {
      show([name, ...args.filter((arg) => typeof arg !== 'number')].join(' '), err, body, headers);
      resolve(body);
    });
  });
}

function callSync(name, ...args) {
  const {err, body, headers} = etcd[name](...args);
  show([name, ...args].join(' '), err, body, headers);
}

const until = (emitter, event) => new Promise((resolve) => emitter.once(event, resolve));

async function watched() {
  for (;;) {
    const stats = await new Promise((resolve) => etcd.raw('GET', 'v2/stats/store', null, {}, (_, body) => resolve(body)));
    if (stats.watchers > 0) {
      return;
    }
  }
}

async function walk() {
  await call('get', 'a');
  await call('set', 'a', 'one');
  await call('set', 'a', 'zwö & drei', {ttl: 100});
  await call('get', 'a');
  await call('get', 'a', {quorum: true});
  await call('compareAndSwap', 'a', 'two', 'wrong');
  await call('compareAndSwap', 'a', 'two', 'zwö & drei');
  await call('testAndSet', 'a', 'three', 'two', {ttl: 100});
  await call('compareAndDelete', 'a', 'two');
  await call('compareAndDelete', 'a', 'three');
  await call('set', 'new', '1', {prevExist: false});
  await call('set', 'new', '1', {prevExist: false});
  await call('del', 'new');
  await call('del', 'new');
  await call('set', 'refused', '1', {ttl: 'soon'});
  callSync('setSync', 'sync', '1');
  callSync('getSync', 'sync');
  callSync('getSync', 'nothing');
  callSync('delSync', 'sync');

  await call('mkdir', 'dir');
  await call('mkdir', 'dir');
  await call('create', 'dir', 'one');
  await call('post', 'dir', 'two', {ttl: 100});
  await call('get', 'dir', {recursive: true, sorted: true});
  await call('rmdir', 'dir');
  await call('rmdir', 'dir', {recursive: true});
  callSync('mkdirSync', 'dir');
  callSync('rmdirSync', 'dir');

  const first = await call('set', 'w/a', '0');
  const next = new Promise((resolve) => etcd.watch('w', {recursive: true}, (...event) => resolve(event)));
  await watched();
  await call('set', 'w/a', '1');
  show('watch w', ...await next);
  await call('watchIndex', 'w/a', first.node.modifiedIndex + 1);

  const watcher = etcd.watcher('w', first.node.modifiedIndex, {recursive: true});
  const seen = [];
  for (const event of ['change', 'set', 'error']) {
    watcher.on(event, (body) => seen.push([event, body]));
  }
  const deleted = until(watcher, 'delete');
  await call('set', 'w/b/c', '2');
  await call('del', 'w/', {recursive: true});
  show('delete', null, await deleted);
  show('seen', null, seen);
  const stopped = until(watcher, 'stop');
  watcher.stop();
  await stopped;

  await call('raw', 'PUT', 'v2/keys/raw', 'value', {});
  await call('raw', 'PATCH', 'v2/keys/raw', 'value', {});
  await new Promise((resolve) => etcd.selfStats((err, body) => {
    show('selfStats', err, Object.keys(body));
    resolve();
  }));
  await new Promise((resolve) => etcd.leaderStats((err, body) => {
    show('leaderStats', err, Object.keys(body));
    resolve();
  }));
  await new Promise((resolve) => etcd.version((err, body) => {
    show('version', err, 'etcdserver' in body);
    resolve();
  }));
}

walk();
