'use strict';

// Prints the answers of grpc.health.v1 at an address: in the clear, or over TLS if a CA file is given.

const fs = require('fs');
const grpc = require('@grpc/grpc-js');

const [address, ca] = process.argv.slice(2);
const client = new grpc.Client(address, ca ? grpc.credentials.createSsl(fs.readFileSync(ca)) : grpc.credentials.createInsecure());
const same = (bytes) => bytes;

function call(method) {
  return new Promise((resolve) => {
    const deadline = Date.now() + 30000;
    client.makeUnaryRequest(method, same, same, Buffer.alloc(0), { deadline }, (err, answer) => {
      console.log(method, err ? grpc.status[err.code] : answer.toString('hex'));
      resolve();
    });
  });
}

(async () => {
  await call('/grpc.health.v1.Health/Check');
  await call('/missing.Service/Method');
  client.close();
})();
