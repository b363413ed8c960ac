// Niantic's own .spz library: node spz.mjs read IN.spz SYSTEM OUT.json | node spz.mjs write IN.json SYSTEM VERSION OUT.spz
// SYSTEM is the coordinate system outside the file (RDF, RUB); inside it is RUB.
import { readFileSync, writeFileSync } from 'node:fs';
import create from '@adobe/spz';

const ARRAYS = ['positions', 'scales', 'rotations', 'alphas', 'colors', 'sh'];
const [, , action, input, system, ...rest] = process.argv;
const spz = await create();
const space = spz.CoordinateSystem[system];

if (action === 'read') {
    const cloud = spz.loadSpzFromBuffer(new Uint8Array(readFileSync(input)), { to: space });
    const plain = { numPoints: cloud.numPoints, shDegree: cloud.shDegree };
    for (const name of ARRAYS) plain[name] = Array.from(cloud[name]);
    writeFileSync(rest[0], JSON.stringify(plain));
} else {
    const cloud = JSON.parse(readFileSync(input));
    for (const name of ARRAYS) cloud[name] = Float32Array.from(cloud[name]);
    const options = { version: Number(rest[0]), from: space, sh1Bits: 5, shRestBits: 4 };
    writeFileSync(rest[1], spz.saveSpzToBuffer({ antialiased: false, extensions: [], ...cloud }, options));
}
