// node spark.mjs JOB.json: draw splat files with Spark in headless Chromium, see draw() of spark_page.html.
//
// The job: {"chromium": path, "size": 512, "fov": 30, "eye": [x, y, z], "background": "#808080", "settle": 10,
//           "views": [{"file": path, "budget": number or null, "pixels": 1, "out": path of a .png}, ...]}
// Prints [{"drawn": number}, ...].
import { createReadStream, existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { basename, dirname, extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const HERE = dirname(fileURLToPath(import.meta.url));
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".wasm": "application/wasm" };
const job = JSON.parse(readFileSync(process.argv[2], "utf8"));

// Serves the page and its packages, and each view's file under a name of its own; on localhost only.
const server = createServer((request, response) => {
  const path = normalize(decodeURIComponent(new URL(request.url, "http://localhost").pathname));
  const view = path.match(/^\/view(\d+)\//);
  const file = view ? job.views[Number(view[1])].file : join(HERE, path);
  if (!existsSync(file)) return response.writeHead(404).end();
  response.writeHead(200, { "content-type": TYPES[extname(file)] ?? "application/octet-stream" });
  createReadStream(file).pipe(response);
});
await new Promise((done) => server.listen(0, "127.0.0.1", done));

const browser = await chromium.launch({
  executablePath: job.chromium,
  // No GPU: WebGL by Google's software rasteriser. Root, as in a container, has no sandbox.
  args: ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"],
});
try {
  const page = await browser.newPage();
  page.on("pageerror", (error) => console.error(String(error)));
  page.on("console", (message) => message.type() === "error" && console.error(message.text()));
  await page.goto(`http://127.0.0.1:${server.address().port}/spark_page.html`);
  await page.waitForFunction("window.ready");
  await page.evaluate((options) => window.start(options), job);
  const results = [];
  for (const view of job.views) {
    const first = job.views.findIndex((other) => other.file === view.file);
    const url = `/view${first}/${basename(view.file)}`;
    const { drawn, picture } = await page.evaluate((options) => window.draw(options), {
      url, budget: view.budget, pixels: view.pixels, settle: job.settle,
    });
    writeFileSync(view.out, Buffer.from(picture.split(",")[1], "base64"));
    results.push({ drawn });
  }
  console.log(JSON.stringify(results));
} finally {
  await browser.close();
  server.close();
}
