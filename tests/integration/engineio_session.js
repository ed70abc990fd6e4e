// npm's engine.io-client against the echo program: text, binary, long ones, over each transport.
//   node engineio_session.js URL TRANSPORTS
'use strict';
const assert = require('assert');
const {Socket} = require('engine.io-client');

const [url, transportList] = process.argv.slice(2);
const transports = transportList.split(',');
const kDeadlineMs = 20000;

function once(socket, event) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${event}: did not come`)), kDeadlineMs);
    socket.once(event, (value) => { clearTimeout(timer); resolve(value); });
  });
}

async function main() {
  const socket = new Socket(url, {path: '/engine.io/', transports});
  socket.binaryType = 'arraybuffer';
  await once(socket, 'open');
  if (transports.length > 1) await once(socket, 'upgrade');
  for (const text of ['hello', 'ü€😀', 'x'.repeat(200000)]) {
    socket.send(text);
    assert.strictEqual(await once(socket, 'message'), text);
  }
  for (const octets of [Buffer.from([1, 2, 3, 4]), Buffer.alloc(100000, 0xfe)]) {
    socket.send(octets);
    assert.deepStrictEqual(Buffer.from(await once(socket, 'message')), octets);
  }
  // Longer than a ping takes: the heartbeat is answered by itself.
  await once(socket, 'heartbeat');
  await once(socket, 'heartbeat');
  assert.strictEqual(socket.readyState, 'open');
  const closed = once(socket, 'close');
  socket.close();
  await closed;
}

main().then(() => process.exit(0), (error) => {
  console.error(error);
  process.exit(1);
});
