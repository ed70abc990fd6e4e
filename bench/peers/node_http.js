// The bare Node.js peer: parses the JSON of a detection, answers, stores nothing (class A).
// Usage: node node_http.js <port>
'use strict';
const http = require('http');

let next = 0;
const server = http.createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    let status = 200;
    let answer;
    try {
      const body = JSON.parse(Buffer.concat(chunks));
      answer = {success: true, message: 'Detection data received', detection_id: ++next,
                camera: body.camera_id, timestamp: new Date().toISOString()};
    } catch (error) {
      status = 400;
      answer = {success: false, message: error.message};
    }
    const text = JSON.stringify(answer);
    response.writeHead(status, {'Content-Type': 'application/json',
                                'Content-Length': Buffer.byteLength(text)});
    response.end(text);
  });
});
server.keepAliveTimeout = 600000;
server.listen(Number(process.argv[2]), '127.0.0.1');
