// A client of a broker for test scripts, on npm's mqtt: commands come as lines of JSON on standard
// input, what arrives leaves as lines of JSON on standard output. The input's end is its end.
'use strict';
const mqtt = require('mqtt');
const readline = require('readline');

const [port, version, filter] = process.argv.slice(2);
const say = (line) => process.stdout.write(JSON.stringify(line) + '\n');
const client = mqtt.connect({
  host: '127.0.0.1', port: Number(port), protocolVersion: Number(version), reconnectPeriod: 0,
});
client.on('connect', () => client.subscribe(filter, {qos: 1}, (error) => {
  if (error) throw error;
  say({ready: true});
}));
client.on('message', (topic, payload, packet) => say({
  topic, payload: payload.toString('latin1'), retain: packet.retain,
}));
client.on('error', (error) => say({error: String(error)}));

readline.createInterface({input: process.stdin}).on('line', (line) => {
  const command = JSON.parse(line);
  const payload = Buffer.from(command.payload, 'latin1');
  client.publish(command.topic, payload, {qos: command.qos, retain: command.retain},
                 (error) => say({published: command.number, error: error && String(error)}));
}).on('close', () => client.end(true, () => process.exit(0)));
