// Read a JSON list of formulas in TeX from stdin, and write the list of what MathJax says of each: null where it is right.
import MathJax from 'mathjax';

const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const formulas = JSON.parse(Buffer.concat(chunks).toString('utf8'));

await MathJax.init({
  loader: { load: ['input/tex'] },
  tex: {
    packages: { '[-]': ['noerrors', 'noundefined'] },
    formatError: (_, error) => {
      throw error;
    },
  },
});

const said = [];
for (const tex of formulas) {
  try {
    await MathJax.tex2mmlPromise(tex, { display: true });
    said.push(null);
  } catch (error) {
    said.push(error.message);
  }
}
process.stdout.write(JSON.stringify(said));
