// node cesium.mjs JOB.json: draw a tileset with CesiumJS in headless Chromium, see draw() of cesium_page.html.
//
// The job: {"chromium": path, "folder": folder of tileset.json, "size": 256, "fov": degrees,
//           "views": [{"eye": [x, y, z], "up": [x, y, z], "out": path of a .png}, ...]}, z up; the eye looks at the origin.
// Prints [{"drawn": number of Gaussians, "tiles": number of tiles}, ...].
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { withPage } from "./browser.mjs";

const job = JSON.parse(readFileSync(process.argv[2], "utf8"));
const given = (path) => (path.startsWith("/tiles/") ? join(job.folder, path.slice("/tiles/".length)) : undefined);

await withPage(job.chromium, "cesium_page.html", given, async (page) => {
  await page.setViewportSize({ width: job.size, height: job.size });
  await page.evaluate((options) => window.start(options), { size: job.size, fov: job.fov });
  const results = [];
  for (const { eye, up, out } of job.views) {
    const { drawn, tiles, picture } = await page.evaluate((options) => window.draw(options), { eye, up });
    writeFileSync(out, Buffer.from(picture.split(",")[1], "base64"));
    results.push({ drawn, tiles });
  }
  console.log(JSON.stringify(results));
});
