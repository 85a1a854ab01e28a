// Runs the emulator on 127.0.0.1: serve.js FOLDER PORT. The package's own command closes every connection after one reply;
// here they stay open, as the service's do, and none is closed for being idle while a request is on its way.
"use strict";
const [folder, port] = process.argv.slice(2);
const { createHttpServer } = require(`${folder}/node_modules/@vercel/cosmosdb-server`);
const server = createHttpServer({ keepAlive: true });
server.keepAliveTimeout = 0;
server.requestTimeout = 0;
server.listen(Number(port), "127.0.0.1");
