// A scripted session of a camera and a dashboard with npm's socket.io-client:
//   node socketio_session.js URL PATH TRANSPORTS   (TRANSPORTS: websocket, polling or both with a comma)
// Every answer and broadcast of docs/WIRE.md "Socket.IO" is asked for. Ends with 0 when all came.
'use strict';
const assert = require('assert');
const crypto = require('crypto');
const {io} = require('socket.io-client');

const [url, path, transportList] = process.argv.slice(2);
const transports = transportList.split(',');
const kDeadlineMs = 30000;
const camera = `CAM-${transportList.replace(',', '-')}${path.replace(/[/.]/g, '-')}`;
const checkpoint = 'CP1';
const kTime = '2024-01-15T10:30:00.000Z';
const kJpeg = Buffer.concat([
  Buffer.from('ffd8ffc0000b080001000101011100', 'hex'), Buffer.from('ffda0008010100003f001234ffd9', 'hex'),
]);

function connect() {
  const socket = io(url, {path, transports, forceNew: true, reconnection: false});
  return new Promise((resolve, reject) => {
    socket.on('connect', () => resolve(socket));
    socket.on('connect_error', reject);
  });
}

// The next event of that name; what came before the question is not lost.
function collect(socket) {
  const seen = [];
  const waiting = [];
  socket.onAny((event, ...args) => {
    const at = waiting.findIndex((w) => w.event === event && w.match(args[0]));
    if (at >= 0) return waiting.splice(at, 1)[0].resolve(args[0]);
    seen.push({event, body: args[0]});
  });
  return (event, match = () => true) => {
    const at = seen.findIndex((s) => s.event === event && match(s.body));
    if (at >= 0) return Promise.resolve(seen.splice(at, 1)[0].body);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
          () => reject(new Error(`${event}: did not come; seen ${JSON.stringify(seen)}`)), kDeadlineMs);
      waiting.push({event, match, resolve: (body) => { clearTimeout(timer); resolve(body); }});
    });
  };
}

const detection = (changes = {}) => ({
  type: 'detection_result', camera_id: camera, checkpoint_id: checkpoint, timestamp: kTime,
  vehicles_count: 1, plates_count: 1, ocr_results: ['1AB2345'], ...changes,
});
const health = (changes = {}) => ({
  type: 'health_check', camera_id: camera, checkpoint_id: checkpoint, timestamp: kTime,
  component: 'camera', status: 'PASS', message: 'fine', ...changes,
});
const mine = (body) => body.camera_id === camera;

async function registers(socket, next, dashboard) {
  socket.emit('camera_register', {camera_id: camera, checkpoint_id: checkpoint});
  const answer = await next('camera_register');
  assert.strictEqual(answer.success, true);
  assert.strictEqual(answer.message, `Camera ${camera} registered successfully`);
  assert.deepStrictEqual([answer.camera_id, answer.checkpoint_id], [camera, checkpoint]);
  assert.ok(answer.timestamp);
  const status = await dashboard('camera_status', (b) => mine(b) && b.status === 'online');
  assert.deepStrictEqual(status.checkpoint_id, checkpoint);
  if (path === '/ws/') {
    const more = await next('camera_registered');
    assert.strictEqual(more.camera_id, camera);
    assert.ok(more.id);
  }
  socket.emit('camera_register', {camera_id: camera});
  assert.strictEqual((await next('error')).message, 'camera_id and checkpoint_id are required');
  await next('lpr_event_error');
}

async function sendsDetections(socket, next, dashboard) {
  socket.emit('lpr_data', detection());
  const answer = await next('lpr_response');
  assert.strictEqual(answer.message, 'LPR data received successfully');
  assert.deepStrictEqual([answer.success, answer.camera_id, answer.checkpoint_id],
                         [true, camera, checkpoint]);
  for (const event of ['new_detection', 'lpr_event_received', 'lpr_event_processed']) {
    const told = await dashboard(event, mine);
    assert.strictEqual(told.detection_id, answer.detection_id);
    assert.deepStrictEqual(told.ocr_results, ['1AB2345']);
    assert.deepStrictEqual([told.vehicles_count, told.plates_count], [1, 1]);
  }
  const again = await socket.emitWithAck('lpr_data', detection());
  assert.strictEqual(again.detection_id, answer.detection_id, 'the same detection has another id');
  await next('lpr_response');
  const {timestamp: _, ...without} = detection();
  socket.emit('lpr_data', without);
  assert.strictEqual((await next('error')).message, 'Missing required field: timestamp');
  await next('lpr_event_error');
  socket.emit('lpr_data', detection({type: 'something'}));
  assert.match((await next('lpr_event_error')).message, /^type: expected detection_result/);
  await next('error');
}

async function sendsHealth(socket, next, watcher) {
  socket.emit('health_status', health());
  const answer = await next('health_response');
  assert.strictEqual(answer.message, 'Health status received successfully');
  assert.ok(answer.health_id && answer.timestamp);
  const told = await watcher('health_update', mine);
  assert.deepStrictEqual([told.health_id, told.component, told.status, told.message],
                         [answer.health_id, 'camera', 'healthy', 'fine']);
  if (path === '/ws/') assert.deepStrictEqual(await next('health_saved'), {success: true});
  socket.emit('health_status', health({component: undefined}));
  assert.strictEqual((await next('error')).message, 'Missing required field: component');
  await next('lpr_event_error');
}

async function pings(socket, next) {
  socket.emit('ping');
  const bare = await next('pong');
  assert.deepStrictEqual([bare.success, bare.message, bare.original_message], [true, 'pong', null]);
  socket.emit('ping', {a: [1, 'ü']});
  assert.deepStrictEqual((await next('pong')).original_message, {a: [1, 'ü']});
  const acknowledged = await socket.emitWithAck('ping', 'x');
  assert.strictEqual(acknowledged.original_message, 'x');
  await next('pong');
  socket.emit('no_such_event', {});
  assert.match((await next('error')).message, /no such event/);
  await next('lpr_event_error');
}

async function sendsMessages(socket, next, dashboard) {
  const contents = [
    detection({ocr_results: ['M1']}),
    {content: detection({ocr_results: ['M2'], camera_id: undefined}), camera_id: camera},
    {content: JSON.stringify(detection({ocr_results: ['M3']})), camera_id: camera},
    {content: 'a car has passed', camera_id: camera},
    'words alone, of the registered camera',
  ];
  for (const content of contents) {
    socket.emit('message', content);
    const saved = await next('message_saved');
    assert.ok(saved.record_id);
    assert.deepStrictEqual([saved.message, saved.success], ['message_saved', true]);
    assert.strictEqual((await dashboard('new_detection', mine)).detection_id, saved.record_id);
  }
  socket.emit('message', {content: {vehicles_count: 'many'}, camera_id: camera});
  const refused = await next('message_error');
  assert.strictEqual(refused.success, false);
  assert.match(refused.error, /vehicles_count/);
}

async function sendsImages(socket, next) {
  const forms = [kJpeg.toString('base64'), `data:image/jpeg;base64,${kJpeg.toString('base64')}`, kJpeg];
  for (let i = 0; i < forms.length; ++i) {
    const filename = `detection_20240115_10300${i}.jpg`;
    socket.emit('image', {data: forms[i], filename, camera_id: camera});
    const saved = await next('image_saved');
    assert.strictEqual(saved.success, true);
    assert.match(saved.path, /^images\/.*\/2024\/01\/15\/detection_.*\.jpg$/);
    const got = await fetch(`${url}/${saved.path}`);
    assert.strictEqual(got.status, 200, `GET ${saved.path}`);
    assert.deepStrictEqual(Buffer.from(await got.arrayBuffer()), kJpeg);
  }
  socket.emit('image', {data: 'bm90IGFuIGltYWdl', filename: 'x.jpg', camera_id: camera});
  assert.ok((await next('image_error')).error);
}

async function sendsEnvelopes(socket, dashboard) {
  const envelope = {
    message_id: crypto.randomUUID(), timestamp: kTime, protocol: 'websocket', edge_device_id: camera,
    data_type: 'detection', payload: {checkpoint_id: checkpoint, ocr_results: ['E1']}, metadata: {},
  };
  const stored = await socket.emitWithAck('envelope', envelope);
  assert.deepStrictEqual([stored.message_id, stored.status], [envelope.message_id, 'stored']);
  await dashboard('new_detection', (b) => mine(b) && b.detection_id === stored.id);
  assert.strictEqual((await socket.emitWithAck('envelope', envelope)).status, 'duplicate');
  const rejected = await socket.emitWithAck('envelope', {...envelope, data_type: 'nonsense'});
  assert.strictEqual(rejected.status, 'rejected');
  assert.match(rejected.error, /data_type/);
}

async function main() {
  const dashboard = await connect();
  const told = collect(dashboard);
  dashboard.emit('join_dashboard');
  assert.strictEqual((await told('status')).message, 'Joined dashboard room');
  dashboard.emit('join_health_room');
  assert.strictEqual((await told('status')).message, 'Joined health monitoring room');
  const socket = await connect();
  const next = collect(socket);
  await registers(socket, next, told);
  await sendsDetections(socket, next, told);
  await sendsHealth(socket, next, told);
  await pings(socket, next);
  await sendsMessages(socket, next, told);
  await sendsImages(socket, next);
  await sendsEnvelopes(socket, told);
  if (transports.length > 1) assert.strictEqual(socket.io.engine.transport.name, 'websocket');
  // Over HTTP on the same port, and told to the dashboard as well.
  const posted = await fetch(`${url}/api/detection`, {
    method: 'POST', headers: {'content-type': 'application/json'},
    body: JSON.stringify(detection({ocr_results: ['HTTP']})),
  });
  const answer = await posted.json();
  assert.strictEqual(
      (await told('new_detection', (b) => mine(b) && b.ocr_results[0] === 'HTTP')).detection_id,
      answer.detection_id);
  const statistics = await (await fetch(`${url}/api/statistics`)).json();
  assert.ok(statistics.data.connected_clients >= 2, JSON.stringify(statistics));
  // Its last session ends: the camera goes offline and is not forgotten.
  socket.disconnect();
  assert.strictEqual((await told('camera_status', (b) => mine(b) && b.status === 'offline'))
                         .checkpoint_id, checkpoint);
  const {cameras} = await (await fetch(`${url}/api/cameras`)).json();
  assert.ok(cameras.some((c) => c.camera_id === camera), 'the camera is forgotten');
  dashboard.disconnect();
}

main().then(() => process.exit(0), (error) => {
  console.error(error);
  process.exit(1);
});
