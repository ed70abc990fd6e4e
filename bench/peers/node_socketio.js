// The Node.js Socket.IO peer: answers a detection and a ping, stores nothing (class A).
// Usage: node node_socketio.js <port>
'use strict';
const {Server} = require('socket.io');

let next = 0;
const io = new Server(Number(process.argv[2]), {serveClient: false, perMessageDeflate: false});
io.on('connection', (socket) => {
  socket.on('lpr_data', (body) => {
    socket.emit('lpr_response', {success: true, message: 'LPR data received successfully',
                                 detection_id: String(++next), camera_id: body.camera_id,
                                 checkpoint_id: body.checkpoint_id,
                                 timestamp: new Date().toISOString()});
  });
  socket.on('ping', (body) => {
    socket.emit('pong', {success: true, message: 'pong', original_message: body,
                         timestamp: new Date().toISOString()});
  });
});
