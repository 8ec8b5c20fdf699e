// Peers of the explorer's map: the same points redrawn for every frame of a pan, in the same browser.
// Evaluates to a function that runs one of them and returns the milliseconds from frame to frame.

async ({ path, map, nTrain, n, width, height, frames, kind }) => {
  const bytes = await (await fetch(path)).arrayBuffer();
  const points = new Float32Array(bytes, map * n * 8, 2 * nTrain);
  const reach = points.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  document.body.replaceChildren(canvas);

  const colors = Array.from({ length: 10 }, (_, index) => `hsl(${36 * index} 60% 50%)`);
  const drawers = {
    "empty frame": () => () => {},
    "Canvas 2D, fillRect": () => {
      const context = canvas.getContext("2d", { willReadFrequently: true });
      return (shift) => {
        context.clearRect(0, 0, width, height);
        for (let color = 0; color < colors.length; color += 1) {
          context.fillStyle = colors[color];
          for (let index = color; index < nTrain; index += colors.length) {
            const x = width * (0.5 + shift + points[2 * index] / (2 * reach));
            const y = height * (0.5 - points[2 * index + 1] / (2 * reach));
            context.fillRect(x, y, 3, 3);
          }
        }
      };
    },
    "WebGL, gl.POINTS": () => {
      const gl = canvas.getContext("webgl", { antialias: false, depth: false });
      const program = gl.createProgram();
      const add = (type, source) => {
        const shader = gl.createShader(type);
        gl.shaderSource(shader, source);
        gl.compileShader(shader);
        gl.attachShader(program, shader);
      };
      add(
        gl.VERTEX_SHADER,
        "attribute vec2 p; uniform vec2 v; void main() { gl_Position = vec4(p * v.x + vec2(v.y, 0), 0, 1); gl_PointSize = 3.0; }",
      );
      add(gl.FRAGMENT_SHADER, "precision mediump float; void main() { gl_FragColor = vec4(0.2, 0.4, 0.8, 1); }");
      gl.linkProgram(program);
      gl.useProgram(program);
      gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
      gl.bufferData(gl.ARRAY_BUFFER, points, gl.STATIC_DRAW);
      const place = gl.getAttribLocation(program, "p");
      gl.enableVertexAttribArray(place);
      gl.vertexAttribPointer(place, 2, gl.FLOAT, false, 0, 0);
      const view = gl.getUniformLocation(program, "v");
      return (shift) => {
        gl.clear(gl.COLOR_BUFFER_BIT);
        gl.uniform2f(view, 1 / reach, 2 * shift);
        gl.drawArrays(gl.POINTS, 0, nTrain);
      };
    },
  };
  const draw = drawers[kind]();
  const frame = () => new Promise(requestAnimationFrame);
  const times = [];
  for (let count = 0; count < 5; count += 1) {
    draw(0);
    await frame();
  }
  let last = await frame();
  for (let count = 0; count < frames; count += 1) {
    draw(0.2 * Math.sin(count / 8));
    const now = await frame();
    times.push(now - last);
    last = now;
  }
  return times;
};
