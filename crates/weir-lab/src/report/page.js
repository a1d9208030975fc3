// Draws the report from the data embedded in the page: no library, nothing loaded, texts only ever set as text.
// Every plot is an SVG of its own; plots of a row share their scale, all share their time and one cursor.
'use strict';
(() => {
  // What goes wrong here is told in the page itself, where a reader and a test can see it.
  window.addEventListener('error', (event) => document.body.setAttribute('data-error', event.message));
  const data = JSON.parse(document.getElementById('data').textContent);
  const arms = data.arms;
  const byId = (id) => document.getElementById(id);
  const SVG = 'http://www.w3.org/2000/svg';
  const HEIGHT = 140, FILL = 262, TOP = 14, BOTTOM = 17, RIGHT = 6;
  const CYCLE = ['#0072b2', '#e69f00', '#cc79a7', '#009e73', '#d55e00', '#56b4e9', '#8a8f1e', '#8c97a1'];
  let shownRun = 0;

  // ---- small tools ----

  function make(tag, attributes, ...children) {
    const node = document.createElement(tag);
    return dress(node, attributes, children);
  }
  function draw(tag, attributes, ...children) {
    return dress(document.createElementNS(SVG, tag), attributes, children);
  }
  function dress(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value !== null && value !== undefined) node.setAttribute(name, value);
    }
    for (const child of children.flat()) {
      if (child !== null && child !== undefined) node.append(child);
    }
    return node;
  }
  const runOf = (arm) => arm.runs[Math.min(shownRun, arm.runs.length - 1)];
  const percent = (ratio) => {
    if (ratio === null || ratio === undefined) return '–';
    if (ratio >= 1) return '100 %';
    if (ratio <= 0) return '0 %';
    return ratio >= 0.9995 ? `${(Math.floor(ratio * 1e4) / 100).toFixed(2)} %` : `${(ratio * 100).toFixed(1)} %`;
  };
  const number = (value) => {
    if (value === null || value === undefined) return '–';
    if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString('en');
    return String(Math.abs(value) >= 100 ? Math.round(value) : Math.round(value * 100) / 100);
  };
  const milliseconds = (ms) => (ms === null ? '–' : ms >= 10000 ? `${number(ms / 1000)} s` : `${number(ms)} ms`);
  const most = (values, least = 0) => values.reduce((a, b) => (b !== null && b > a ? b : a), least);

  // ---- head ----

  function head() {
    byId('scenario').textContent = data.scenario;
    const when = data.started_wall_ms ? new Date(data.started_wall_ms).toISOString().slice(0, 16).replace('T', ' ') + ' UTC' : '';
    const repeats = most(arms.map((arm) => arm.runs.length), 1);
    byId('facts').textContent = [when, `seed ${data.seed}`, repeats > 1 ? `${repeats} runs an arm` : null,
      data.time_scale !== 1 ? `1 s stands for ${number(data.time_scale)} s of 2020` : null,
      `${data.host.cores} cores`, data.host.kernel, data.version ? `Weir ${data.version}` : null].filter(Boolean).join(' · ');
    const all = arms.flatMap((arm) => arm.summary.expectations);
    const held = all.filter((one) => one.held).length;
    const verdict = byId('verdict');
    verdict.classList.add(data.held ? 'held' : 'off');
    verdict.textContent = data.held ? `✓ as expected: all ${all.length} expectations held`
      : `✕ not as expected: ${all.length - held} of ${all.length} expectations did not hold`;
    byId('headline').textContent = tie(data.headline);
    byId('description').textContent = data.description;
    if (data.cautions.length) {
      byId('cautions').hidden = false;
      byId('cautions').replaceChildren(...data.cautions.map((words) => make('li', null, tie(sentence(words)))));
    }
  }

  function card(arm) {
    const s = arm.summary;
    const integrity = s.integrity;
    const whole = integrity && integrity.lost === 0 && integrity.duplicated === 0 && integrity.reordered === 0 && integrity.damaged === 0;
    const bad = (ratio) => (ratio !== null && ratio < 0.99 ? 'bad' : ratio >= 0.999 ? 'good' : '');
    const rows = [
      ['N* predicted', s.predicted_n_star ?? 'none', '', s.n_star_formula],
      ['N* seen', s.observed_n_star ?? 'no refusal', s.observed_n_star === null ? '' : s.observed_n_star === s.predicted_n_star ? 'good' : 'bad', s.n_star_counts],
      ['headroom alarm', headroomAlarm(s.headroom_alarm), '', 'when an alarm on committed threads (those that the registered members will take) would have fired'],
      ['limit L, base B, k', `${s.limit}, ${s.base_threads}, ${s.threads_per_peer}`, '', s.limit_kind],
      ['peer threads, peak', number(s.peer_threads_peak), ''],
      ['threads refused', number(s.refusals), s.refusals > 0 ? 'bad' : ''],
      ['success before', percent(s.success_ratio.baseline), bad(s.success_ratio.baseline)],
      ['success in the cliff', percent(s.success_ratio.cliff), bad(s.success_ratio.cliff)],
      ['success after', percent(s.success_ratio.recovery), bad(s.success_ratio.recovery)],
      ['p99 before', milliseconds(s.p99_ms.baseline), ''],
      ['p99 in the cliff', milliseconds(s.p99_ms.cliff), ''],
      ['started late, at most', percent(spread(Object.values(s.late_starts_ratio))?.high), '', 'the stage in which most calls started later than meant'],
      ['tenants affected', percent(s.tenants_affected_ratio), s.tenants_affected_ratio > 0 ? 'bad' : 'good'],
      ['acknowledged', integrity ? number(integrity.acknowledged) : 'unknown', ''],
      ['records lost', integrity ? number(integrity.lost) : 'unknown', whole ? 'good' : 'bad'],
    ];
    const list = make('dl');
    for (const [name, value, tone, hint] of rows) {
      list.append(make('div', null, make('dt', null, name), make('dd', { class: tone || null, title: hint || null }, String(value))));
    }
    const kind = s.role === 'control' ? 'negative control' : s.mesh;
    return make('div', { class: `card${s.role === 'control' ? ' control' : ''}${arm.broke ? ' broke' : ''}` },
      make('h3', null, s.name, make('small', null, kind)), make('p', null, sentence(s.in_words)), list);
  }
  function headroomAlarm(alarm) {
    if (!alarm) return 'none needed';
    if (alarm.committed_seconds === null) return 'silent';
    if (alarm.warning_seconds === null) return `at ${number(alarm.committed_seconds)} s`;
    return `${number(alarm.warning_seconds)} s ahead`;
  }
  const sentence = (words) => (words ? tie(`${words[0].toUpperCase()}${words.slice(1)}.`) : '');
  // A number stays on one line with its unit.
  const tie = (words) => words.replace(/(\d) (%|s|ms|MiB)(?!\w)/g, '$1\u00a0$2');

  // ---- plots: scales, frames, cursor ----

  let plots = [], duration = 1;

  function frame(panel, run, scale, options) {
    const width = Math.max(120, Math.round(panel.clientWidth || 240));
    const height = Math.max(options.height || HEIGHT, options.fill || 0);
    const top = options.top ?? TOP, bottom = options.bottom ?? BOTTOM;
    const left = options.ticks ? 37 : 8;
    const x = (t) => left + (t / duration) * (width - left - RIGHT);
    const y = (v) => height - bottom - scale(v) * (height - top - bottom);
    const svg = draw('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img' });
    const bands = draw('g');
    run.phases.forEach((phase, index) => {
      const from = x(phase.start), wide = x(phase.end) - from;
      bands.append(draw('rect', { class: `band ${phase.action}`, x: from, y: options.ribbon ? 0 : top - 12, width: Math.max(wide, 0), height: options.ribbon ? height : height - bottom - top + 12 }));
      if (wide > 9 && !options.ribbon) bands.append(draw('text', { class: 'phase-no', x: from + 3, y: top - 3 }, String(index + 1)));
    });
    svg.append(bands);
    panel.append(svg);
    return { svg, x, y, width, height, top, bottom, left, right: width - RIGHT };
  }

  function axes(plot, ticks, named, unit) {
    for (const value of ticks) {
      const at = plot.y(value);
      plot.svg.append(draw('line', { class: 'gridline', x1: plot.left, x2: plot.right, y1: at, y2: at }));
      if (named) plot.svg.append(draw('text', { class: 'tick', x: plot.left - 4, y: at + 3.5, 'text-anchor': 'end' }, unit ? unit(value) : number(value)));
    }
    timeAxis(plot);
  }
  function timeAxis(plot) {
    const seconds = duration / 10;
    const step = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600].find((s) => seconds / s <= plot.width / 46) || 7200;
    for (let s = 0; s <= seconds; s += step) {
      plot.svg.append(draw('text', { class: 'tick', x: plot.x(s * 10), y: plot.height - 5, 'text-anchor': s === 0 ? 'start' : 'middle' }, s === 0 ? '0 s' : String(s)));
    }
    const base = plot.height - plot.bottom;
    plot.svg.append(draw('line', { class: 'axis', x1: plot.left, x2: plot.right, y1: base, y2: base }));
  }
  function nice(limit, count = 3) {
    const rough = limit / count || 1, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => limit / s <= count + 0.6) || power * 10;
    const ticks = [];
    for (let v = 0; v <= limit * 1.001; v += step) ticks.push(Math.round(v / step) * step);
    return ticks;
  }

  // Flat [time, value, ...] of a line that moves in steps; -1 is a gap.
  function stepPath(flat, plot, until) {
    let path = '', open = false;
    for (let i = 0; i < flat.length; i += 2) {
      const value = flat[i + 1];
      const at = plot.x(flat[i]).toFixed(1);
      if (value < 0) { if (open) path += `H${at}`; open = false; continue; }
      path += open ? `H${at}V${plot.y(value).toFixed(1)}` : `M${at} ${plot.y(value).toFixed(1)}`;
      open = true;
    }
    return open && until !== undefined ? `${path}H${plot.x(until).toFixed(1)}` : path;
  }
  function linePath(times, values, plot) {
    let path = '', open = false;
    values.forEach((value, i) => {
      if (value === null || value === undefined) { open = false; return; }
      path += `${open ? 'L' : 'M'}${plot.x(times[i]).toFixed(1)} ${plot.y(value).toFixed(1)}`;
      open = true;
    });
    return path;
  }
  // A line that is level over each of its stretches.
  function levelPath(line, plot) {
    let path = '';
    line.ms.forEach((ms, i) => {
      const at = plot.x(line.from[i]).toFixed(1), y = plot.y(ms).toFixed(1);
      path += `${i && line.until[i - 1] === line.from[i] ? `V${y}` : `M${at} ${y}`}H${plot.x(line.until[i]).toFixed(1)}`;
    });
    return path;
  }
  function levelAt(line, t) {
    const i = line ? nearest(line.from, t) : -1;
    return i < 0 || line.until[i] < t ? null : line.ms[i];
  }
  function areaPath(times, low, high, plot) {
    if (!times.length) return '';
    const up = times.map((t, i) => `${plot.x(t).toFixed(1)} ${plot.y(high[i] ?? 0).toFixed(1)}`);
    const down = times.map((t, i) => `${plot.x(t).toFixed(1)} ${plot.y(low[i] ?? 0).toFixed(1)}`).reverse();
    return `M${up.join('L')}L${down.join('L')}Z`;
  }
  function atStep(flat, t) {
    let value = null;
    for (let i = 0; i < flat.length && flat[i] <= t; i += 2) value = flat[i + 1];
    return value === null || value < 0 || flat[flat.length - 2] < t - 15 ? null : value;
  }
  function nearest(times, t) {
    let low = 0, high = times.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (times[middle] <= t) low = middle; else high = middle - 1;
    }
    return times.length && times[low] <= t + 10 ? low : -1;
  }

  function dashed(plot, value, words, max) {
    if (value > max) {
      plot.svg.append(draw('text', { class: 'limit-text', x: plot.right - 3, y: plot.top + 9, 'text-anchor': 'end' }, `${words} ↑`));
      return;
    }
    const at = plot.y(value);
    const above = at - plot.top > 12 ? at - 4 : at + 12;
    plot.svg.append(draw('path', { class: 'limit', d: `M${plot.left} ${at}H${plot.right}` }));
    plot.svg.append(draw('text', { class: 'limit-text', x: plot.left + 4, y: above }, words));
  }

  const linear = (max) => (v) => Math.min(1.04, Math.max(0, v / (max || 1)));
  const spread = (values) => {
    const sorted = values.filter((v) => v !== null).sort((a, b) => a - b);
    return sorted.length ? { low: sorted[0], middle: sorted[sorted.length >> 1], high: sorted[sorted.length - 1], count: sorted.length } : null;
  };
  const range = (s, unit = '') => !s ? '–' : s.low === s.high ? `all ${number(s.low)}${unit}` : `${number(s.low)} to ${number(s.high)}${unit}, median ${number(s.middle)}`;
  const tone = (server) => server.role === 'cache' ? 'cache' : server.joiner ? 'new' : 'old';

  // From the lowest line to the highest: what is painted later lies on top.
  const LATENCIES = [['slowest', 'slowest call'], ['p999', 'p99.9'], ['p99', 'p99'], ['p50', 'median']];
  const latencyOf = (run, name) => run.load.latencies.find((line) => line.name === name);

  // ---- rows ----
  // A row is a title, words, keys, and two functions: prepare(runs) gives what all its plots share, and
  // paint(plot, run, shared) draws one and returns what the cursor reads at a time.

  const key = (shape, colour, words) => ({ shape, colour, words });
  const fleetKeys = () => [key('', 'var(--old)', 'there from the start'), key('', 'var(--new)', 'joiners')]
    .concat(arms.some((arm) => runOf(arm).servers.some((s) => s.role === 'cache')) ? [key('', 'var(--cache)', 'cache servers')] : []);

  const rows = [
    {
      title: 'Known members', words: 'What each front end knows of its cell. The registry jumps; knowledge of it is a staircase over the discovery window.',
      keys: () => [key('', 'var(--ink)', 'registered (largest cell)'), key('', 'var(--good)', 'known, the mean'), ...fleetKeys().slice(0, 2), key('dash', 'var(--ink)', 'N*')],
      prepare: (runs) => most(runs.flatMap((r) => [most(r.members.filter((_, i) => i % 2)), ...r.servers.map((s) => most(s.known.filter((_, i) => i % 2)))]), 4) * 1.12,
      scale: linear,
      paint(plot, run, max, named, arm) {
        axes(plot, nice(max), named);
        const front = run.servers.filter((s) => s.role === 'frontend');
        for (const s of front) plot.svg.append(draw('path', { class: `thin ${tone(s)}`, d: stepPath(s.known, plot) }));
        plot.svg.append(draw('path', { class: 'registered', d: stepPath(run.members, plot) }));
        const [times, means] = mean(front, run.end);
        plot.svg.append(draw('path', { class: 'line mean', d: linePath(times, means, plot) }));
        const counted = arm.summary.n_star_counts.startsWith('front ends in');
        if (counted && arm.summary.predicted_n_star) dashed(plot, arm.summary.predicted_n_star, `N* = ${arm.summary.predicted_n_star}`, max);
        return (t) => `registered ${number(atStep(run.members, t))}\nknown ${range(spread(front.map((s) => atStep(s.known, t))))}`;
      },
    },
    {
      title: 'Threads', words: 'Each line is one server, read from /proc. At the dashed line the kernel refuses the next thread.', height: 168,
      keys: () => [...fleetKeys(), key('dash', 'var(--ink)', 'limit of one server'), key('dot', 'var(--bad)', 'first refusal of a server')],
      prepare(runs) {
        const threads = most(runs.flatMap((r) => r.servers.map((s) => most(s.threads.filter((_, i) => i % 2)))), 4);
        const near = most(runs.flatMap((r) => r.servers.map((s) => s.limit)).filter((limit) => limit !== null && limit <= threads * 1.25), threads);
        return near * 1.1;
      },
      scale: linear,
      paint(plot, run, max, named) {
        axes(plot, nice(max, 4), named);
        for (const s of run.servers) plot.svg.append(draw('path', { class: `thin ${tone(s)}`, d: stepPath(s.threads, plot) }));
        const limits = [...new Set(run.servers.map((s) => s.limit).filter((l) => l !== null))];
        for (const limit of limits) dashed(plot, limit, `limit ${limit}`, max);
        for (const s of run.servers) {
          if (s.refused) plot.svg.append(draw('circle', { class: 'dot', cx: plot.x(s.refused[0]), cy: plot.y(s.refused[1]), r: 3 }));
        }
        return (t) => {
          const refused = run.servers.filter((s) => s.refused && s.refused[0] <= t).length;
          const caches = run.servers.filter((s) => s.role === 'cache');
          const front = spread(run.servers.filter((s) => s.role === 'frontend').map((s) => atStep(s.threads, t)));
          const lines = [`${front ? front.count : 0} front ends: ${range(front)}`];
          if (caches.length) lines.push(`cache servers: ${range(spread(caches.map((s) => atStep(s.threads, t))))}`);
          if (refused) lines.push(`${refused} refused so far`);
          return lines.join('\n');
        };
      },
    },
    {
      title: 'Map age', words: 'Seconds since each front end’s shard map was last confirmed whole. Above the TTL it routes nothing.',
      keys: () => [...fleetKeys().slice(0, 2), key('dash', 'var(--ink)', 'time to live')],
      prepare: (runs) => most(runs.flatMap((r) => [r.ttl * 1.3, ...r.servers.map((s) => most(s.age))])) * 1.06,
      scale: linear,
      paint(plot, run, max, named) {
        axes(plot, nice(max), named, (v) => `${number(v)} s`);
        const front = run.servers.filter((s) => s.role === 'frontend');
        for (const s of front) plot.svg.append(draw('path', { class: `thin ${tone(s)}`, d: linePath(s.age_times, gaps(s), plot) }));
        dashed(plot, run.ttl, `TTL ${number(run.ttl)} s`, max);
        return (t) => {
          const ages = front.map((s) => { const i = nearest(s.age_times, t); return i < 0 ? null : s.age[i]; });
          const over = ages.filter((age) => age !== null && age > run.ttl).length;
          return `${range(spread(ages), ' s')}\n${over} over their TTL`;
        };
      },
    },
    {
      title: 'Success', words: 'Share of calls that succeeded, and the share of front ends that can route.',
      keys: () => [key('', 'var(--good)', 'calls that succeeded'), key('dash', 'var(--wall)', 'front ends that can route')],
      prepare: () => 1.06, scale: linear,
      paint(plot, run, max, named) {
        axes(plot, [0, 0.5, 1], named, (v) => `${v * 100} %`);
        const { times, success, calls } = run.load;
        plot.svg.append(draw('path', { class: 'success-area', d: areaPath(times, times.map(() => 0), success, plot) }),
          draw('path', { class: 'fail-area', d: areaPath(times, success.map((v) => v ?? 1), times.map(() => 1), plot) }),
          draw('path', { class: 'serving', d: stepPath(run.serving.map((v, i) => (i % 2 && v >= 0 ? v / 100 : v)), plot) }),
          draw('path', { class: 'line success-line', d: linePath(times, success, plot) }));
        return (t) => { const i = nearest(times, t); return i < 0 ? '–' : `${percent(success[i])} of ${number(calls[i])} calls/s\n${number(atStep(run.serving, t))} % of front ends can route`; };
      },
    },
    {
      title: 'Latency', words: 'From intended start, successful calls only, milliseconds on a logarithmic scale. A percentile is level over as many calls as it takes to tell it.', height: 168,
      keys: () => [...LATENCIES.filter(([name]) => arms.some((arm) => latencyOf(runOf(arm), name))).map(([name, words]) => key('', `var(--${name})`, words)), key('box', 'color-mix(in srgb, var(--new) 45%, transparent)', 'share that started late (top: all)')],
      prepare(runs) {
        const values = runs.flatMap((r) => r.load.latencies.flatMap((line) => line.ms)).filter((v) => v > 0);
        const low = Math.floor(Math.log10(values.reduce((a, b) => Math.min(a, b), values.length ? Infinity : 1)));
        const high = Math.ceil(Math.log10(most(values, 10)));
        return { low, high: Math.max(high, low + 1) };
      },
      scale: ({ low, high }) => (v) => Math.max(0, (Math.log10(Math.max(v, 1e-6)) - low) / (high - low)),
      paint(plot, run, { low, high }, named) {
        const ticks = [];
        for (let e = low; e <= high; e += 1) ticks.push(10 ** e);
        axes(plot, ticks, named, (v) => (v >= 1000 ? `${v / 1000} s` : number(v)));
        const { times, late, late_dispatches: own } = run.load;
        // The share of late starts has the plot's whole height for itself: 0 at the bottom, all calls at the top.
        const share = { ...plot, y: (v) => plot.height - plot.bottom - v * (plot.height - plot.top - plot.bottom) };
        plot.svg.append(draw('path', { class: 'late-area', d: areaPath(times, times.map(() => 0), late, share) }), draw('path', { class: 'late-line', d: linePath(times, late, share) }));
        for (const [name] of LATENCIES) {
          const line = latencyOf(run, name);
          if (line) plot.svg.append(draw('path', { class: `line ${name}`, d: levelPath(line, plot) }));
        }
        return (t) => {
          const at = LATENCIES.map(([name, words]) => { const ms = levelAt(latencyOf(run, name), t); return ms === null ? null : `${words} ${number(ms)}`; }).filter(Boolean).reverse();
          const i = nearest(times, t);
          const words = i < 0 || late[i] === null ? null : `${percent(late[i])} started late${own[i] ? `, ${percent(own[i])} by the load generator` : ''}`;
          return [at.length ? `${at.join(', ')} ms` : 'no call succeeded', words].filter(Boolean).join('\n');
        };
      },
    },
    {
      title: 'Tenants', words: 'One strip a tenant, in the order of their cells: the darker, the more of its calls failed.',
      keys: () => [key('box', 'var(--bad)', 'all calls fail'), key('box', 'color-mix(in srgb, var(--good) 25%, transparent)', 'all calls succeed')],
      shown: (runs) => runs.some((r) => r.load.tenants.length > 0),
      prepare: (runs) => most(runs.map((r) => r.load.tenants.length), 1), scale: () => () => 0,
      heightOf: (count) => TOP + BOTTOM + Math.max(56, Math.min(count * 12, 220)),
      paint(plot, run, count, named) {
        timeAxis(plot);
        const times = run.load.tenant_times;
        const tenants = [...run.load.tenants].sort((a, b) => a.cell.localeCompare(b.cell) || a.name.localeCompare(b.name));
        const high = (plot.height - plot.top - plot.bottom) / Math.max(tenants.length, 1);
        const gap = high > 5 ? 1.5 : 0.4;
        tenants.forEach((tenant, row) => {
          const y = plot.top + row * high;
          plot.svg.append(draw('rect', { class: 'heat-good', x: plot.left, width: plot.x(run.end) - plot.left, y, height: high - gap }));
          for (let i = 0; i < times.length;) {
            let j = i + 1;
            while (j < times.length && tenant.success[j] === tenant.success[i]) j += 1;
            const success = tenant.success[i], from = plot.x(times[i]), to = plot.x(j < times.length ? times[j] : run.end);
            if (success === null || success < 100) {
              plot.svg.append(draw('rect', { class: success === null ? 'heat-none' : 'heat-bad', 'fill-opacity': success === null ? 1 : 1 - success / 100, x: from, width: Math.max(to - from, 0.5), y, height: high - gap }));
            }
            i = j;
          }
        });
        if (named && high >= 10) tenants.forEach((tenant, row) => plot.svg.append(draw('text', { class: 'tick', x: plot.left - 4, y: plot.top + row * high + high / 2 + 3, 'text-anchor': 'end' }, String(row + 1))));
        return (t, at) => {
          const i = nearest(times, t);
          const row = at === null ? -1 : Math.floor((at - plot.top) / high);
          const one = tenants[row];
          if (i < 0) return '–';
          if (one) return `${one.name} in ${one.cell}: ${one.success[i] === null ? 'no calls' : `${one.success[i]} %`}`;
          return `${tenants.filter((x) => x.success[i] !== null && x.success[i] < 99).length} of ${tenants.length} affected`;
        };
      },
    },
    {
      title: 'Failing calls', words: 'Errors a second as callers saw them, by operation and code, one above the other.',
      keys: () => kinds().map((kind) => key('box', kindColour(kind), shortKind(kind))),
      shown: () => kinds().length > 0,
      prepare: (runs) => most(runs.flatMap((r) => r.load.times.map((_, i) => r.load.errors.reduce((sum, e) => sum + e.rate[i], 0))), 1) * 1.05,
      scale: linear,
      paint(plot, run, max, named) {
        axes(plot, nice(max), named, (v) => `${number(v)}/s`);
        const { times, errors } = run.load;
        let floor = times.map(() => 0);
        for (const one of errors) {
          const ceiling = floor.map((v, i) => v + one.rate[i]);
          plot.svg.append(draw('path', { d: areaPath(times, floor, ceiling, plot), fill: kindColour(one.kind), 'fill-opacity': 0.8 }));
          floor = ceiling;
        }
        if (!errors.length) nothing(plot, 'no errors');
        return (t) => {
          const i = nearest(times, t);
          const now = i < 0 ? [] : errors.filter((e) => e.rate[i] > 0).sort((a, b) => b.rate[i] - a.rate[i]);
          return now.length ? `${number(floor[i])}/s, ${now.length} ${now.length === 1 ? 'kind' : 'kinds'} of calls, most\n${shortKind(now[0].kind)}` : 'no errors';
        };
      },
    },
    {
      title: 'Consumers’ buffers', words: 'How full the buffer of each service on the stream is; under each plot, what it does when full.',
      keys: () => consumers().map((name) => key('', consumerColour(name), name)).concat(key('dash', 'var(--ink)', 'full')),
      shown: () => consumers().length > 0, prepare: () => 1.12, scale: linear,
      paint(plot, run, max, named) {
        axes(plot, [0, 0.5, 1], named, (v) => `${v * 100} %`);
        plot.svg.append(draw('path', { class: 'limit', d: `M${plot.left} ${plot.y(1)}H${plot.right}` }));
        for (const one of run.consumers) {
          plot.svg.append(draw('path', { class: 'line', stroke: consumerColour(one.name), d: linePath(one.times, one.fill.map((v) => v / (one.capacity || 1)), plot) }));
        }
        return (t) => run.consumers.map((one) => { const i = nearest(one.times, t); return i < 0 ? null : `${one.name} ${number(one.fill[i])} of ${number(one.capacity)}`; }).filter(Boolean).join('\n');
      },
      caption: (run) => run.consumers.map((one) => `${one.name}: ${one.policy}${one.dropped ? `, ${number(one.dropped)} dropped` : ''}${one.spilled ? `, ${number(one.spilled)} spilled` : ''}`).join(' · '),
    },
    {
      title: 'What their users see', words: 'Sign-ins that fail, by what the service’s buffer does when full, and alarms that have lost their data.',
      keys: () => seenBy().map(({ name, policy, what }) => key('', consumerColour(name), what === 'dark' ? `${name}: alarms without data` : `${name} (${policy}): sign-ins that fail`)),
      shown: () => seenBy().length > 0,
      prepare: () => 1.06, scale: linear,
      paint(plot, run, max, named) {
        axes(plot, [0, 0.5, 1], named, (v) => `${v * 100} %`);
        for (const { name, what } of seenBy()) {
          const one = run.consumers.find((c) => c.name === name);
          if (one) plot.svg.append(draw('path', { class: 'line', stroke: consumerColour(name), d: linePath(one.times, one[what], plot) }));
        }
        return (t) => run.consumers.flatMap((one) => {
          const i = nearest(one.times, t);
          return i < 0 ? [] : [one.sign_in_failed[i] === null ? null : `${one.name}: ${percent(one.sign_in_failed[i])} of sign-ins fail`, one.dark[i] === null ? null : `${one.name}: ${percent(one.dark[i])} of alarms without data`];
        }).filter(Boolean).join('\n');
      },
    },
    {
      title: 'Event delay', words: 'How long the oldest event that is not yet delivered has waited.', height: 108,
      keys: () => [], shown: (runs) => runs.some((r) => r.consumers.some((c) => c.lag.some((v) => v !== null))),
      prepare: (runs) => most(runs.flatMap((r) => r.consumers.map((c) => most(c.lag))), 1) * 1.1, scale: linear,
      paint(plot, run, max, named) {
        axes(plot, nice(max, 2), named, (v) => `${number(v)} s`);
        const late = run.consumers.filter((c) => c.lag.some((v) => v !== null));
        for (const one of late) plot.svg.append(draw('path', { class: 'line', stroke: consumerColour(one.name), d: linePath(one.times, one.lag, plot) }));
        return (t) => late.map((one) => { const i = nearest(one.times, t); return i < 0 ? null : `${number(one.lag[i])} s`; }).filter(Boolean).join('\n');
      },
    },
    {
      title: 'Back end', words: 'Cores that all nodes use together. It idles while the front ends fail: nothing points at the cause.', height: 108,
      keys: () => [key('', 'var(--cache)', 'cores used')], shown: (runs) => runs.some((r) => r.back_end.length > 0),
      prepare: (runs) => most(runs.flatMap((r) => r.back_end.map((row) => row[1])), 0.01) * 1.1, scale: linear,
      paint(plot, run, max, named) {
        axes(plot, nice(max, 2), named);
        const times = run.back_end.map((row) => row[0]), cores = run.back_end.map((row) => row[1]);
        plot.svg.append(draw('path', { class: 'cores-area', d: areaPath(times, cores.map(() => 0), cores, plot) }), draw('path', { class: 'line cores', d: linePath(times, cores, plot) }));
        return (t) => { const i = nearest(times, t); return i < 0 ? '–' : `${number(cores[i])} cores\n${number(run.back_end[i][2])} appends wait`; };
      },
    },
    {
      title: 'Memory', words: 'Resident memory of a front end: smallest, median and largest.', height: 108,
      keys: () => [key('', 'var(--old)', 'median'), key('box', 'color-mix(in srgb, var(--old) 25%, transparent)', 'smallest to largest')],
      prepare: (runs) => most(runs.flatMap((r) => r.memory.map((row) => row[3])), 1) * 1.1, scale: linear,
      paint(plot, run, max, named) {
        axes(plot, nice(max, 2), named, (v) => `${number(v)}`);
        const [times, low, middle, high] = [0, 1, 2, 3].map((column) => run.memory.map((row) => row[column]));
        plot.svg.append(draw('path', { class: 'memory-band', d: areaPath(times, low, high, plot) }), draw('path', { class: 'line old', d: linePath(times, middle, plot) }));
        return (t) => { const i = nearest(times, t); return i < 0 ? '–' : `${number(low[i])} to ${number(high[i])} MiB, median ${number(middle[i])}`; };
      },
    },
  ];

  // The mean of what the servers know: the fleet's staircase.
  function mean(servers, end) {
    const times = Array.from({ length: 240 }, (_, i) => (i / 239) * end);
    return [times, times.map((t) => {
      const values = servers.map((s) => atStep(s.known, t)).filter((v) => v !== null);
      return values.length ? values.reduce((a, b) => a + b, 0) / values.length : null;
    })];
  }
  // A server's ages with a break where it was not there.
  function gaps(server) {
    return server.age.map((age, i) => (i && server.age_times[i] - server.age_times[i - 1] > 30 ? null : age));
  }
  const unique = (values) => [...new Set(values)];
  const kinds = () => unique(arms.flatMap((arm) => runOf(arm).load.errors.map((e) => e.kind)));
  const shortKind = (kind) => kind.replace(/Exception$/, '');
  const kindColour = (kind) => CYCLE[kinds().indexOf(kind) % CYCLE.length];
  const consumers = () => unique(arms.flatMap((arm) => runOf(arm).consumers.map((c) => c.name)));
  const consumerColour = (name) => ['var(--bad)', 'var(--cache)', 'var(--old)', 'var(--new)', 'var(--good)'][consumers().indexOf(name) % 5];
  // Which consumer has users that see something, and what: sign-ins that fail, or alarms in the dark.
  function seenBy() {
    const all = arms.flatMap((arm) => runOf(arm).consumers);
    return consumers().flatMap((name) => ['sign_in_failed', 'dark'].flatMap((what) => {
      const one = all.find((c) => c.name === name && c[what].some((v) => v !== null));
      return one ? [{ name, policy: one.policy, what }] : [];
    }));
  }
  function nothing(plot, words) {
    plot.svg.append(draw('text', { class: 'nothing', x: (plot.left + plot.right) / 2, y: (plot.top + plot.height - plot.bottom) / 2 + 4, 'text-anchor': 'middle' }, words));
  }

  function keyList(keys) {
    const list = make('ul', { class: 'keys' });
    for (const one of keys) list.append(make('li', null, make('i', { class: one.shape || null, style: `color:${one.colour};border-color:${one.colour}` }), make('span', { title: one.words }, one.words)));
    return keys.length ? list : null;
  }

  function paintAll() {
    const host = byId('plots');
    const scrolled = window.scrollY;
    host.style.setProperty('--arms', String(arms.length));
    host.replaceChildren();
    plots = [];
    const runs = arms.map(runOf);
    duration = most(runs.map((run) => run.end), 1);
    host.append(make('div', { class: arms.length === 1 ? 'row cards alone' : 'row cards' }, picker(), arms.map(card)));
    host.append(make('div', { class: 'row names' }, make('div', { class: 'clock', id: 'clock' }), arms.map((arm) => make('div', null, arm.summary.name))));
    paintRibbon(host, runs);
    const wide = window.innerWidth > 820;
    for (const row of rows) {
      if (row.shown && !row.shown(runs)) continue;
      const shared = row.prepare(runs);
      const element = make('div', { class: 'row' }, make('div', { class: 'label' }, make('h3', null, row.title), make('p', null, row.words), keyList(row.keys())));
      const panels = arms.map(() => make('div', { class: 'panel' }));
      element.append(...panels);
      host.append(element);
      // A long label makes the whole row high: the plots grow with it, up to a point.
      const fill = row.caption ? 0 : Math.min(panels[0].clientHeight - 2, FILL);
      arms.forEach((arm, i) => {
        const named = i === 0 || !wide;
        const plot = frame(panels[i], runs[i], row.scale(shared), { ticks: named, height: row.heightOf ? row.heightOf(shared) : row.height, fill });
        plot.svg.setAttribute('aria-label', `${row.title}, ${arm.summary.name}`);
        const readAt = row.paint(plot, runs[i], shared, named, arm);
        if (row.caption) panels[i].append(make('div', { class: 'caption' }, row.caption(runs[i])));
        cursor(panels[i], plot, readAt);
      });
    }
    window.scrollTo(0, scrolled);
  }

  function paintRibbon(host, runs) {
    const element = make('div', { class: 'row ribbon' }, make('div', { class: 'label' }, make('h3', null, 'Phases')));
    const panels = arms.map(() => make('div', { class: 'panel' }));
    element.append(...panels);
    host.append(element);
    runs.forEach((run, i) => {
      const plot = frame(panels[i], run, () => 0, { ribbon: true, ticks: i === 0 || window.innerWidth <= 820, height: 22, top: 0, bottom: 0 });
      run.phases.forEach((phase, index) => {
        const from = plot.x(phase.start), wide = plot.x(phase.end) - from;
        const whole = `${index + 1} ${phase.name}`;
        const words = wide > whole.length * 6.2 + 8 ? whole : wide > 12 ? String(index + 1) : '';
        const text = draw('text', { x: from + 5, y: 15 }, words);
        text.append(draw('title', null, whole));
        plot.svg.append(text);
      });
      cursor(panels[i], plot, null);
    });
  }

  function picker() {
    const count = most(arms.map((arm) => arm.runs.length), 1);
    const box = make('div', { class: 'label' }, make('h3', null, 'Arms'), make('p', null, 'The same load and growth, one difference each. Point at a plot to read all of them at that moment.'));
    if (count > 1) {
      const select = make('select', { 'aria-label': 'which run is drawn' });
      for (let i = 0; i < count; i += 1) select.append(make('option', { value: i }, `run ${i + 1} of ${count}`));
      select.value = String(shownRun);
      select.addEventListener('change', () => { shownRun = Number(select.value); paintAll(); matrix(); });
      box.append(make('p', null, 'Numbers are over all runs; drawn is '), select);
    }
    box.append(make('h3', { class: 'second' }, 'Phases'), make('ol', { class: 'phases' }, runOf(arms[0]).phases.map((phase) => make('li', { class: phase.action }, phase.name))));
    return box;
  }

  function cursor(panel, plot, readAt) {
    const line = draw('line', { class: 'cursor', y1: plot.top ? plot.top - 12 : 0, y2: plot.height - plot.bottom });
    const read = make('div', { class: 'read' });
    plot.svg.append(line);
    if (readAt) panel.append(read);
    const entry = { line, read, plot, readAt, panel };
    plots.push(entry);
    const toTime = (event) => {
      const box = plot.svg.getBoundingClientRect();
      const scale = plot.width / box.width;
      const t = ((event.clientX - box.left) * scale - plot.left) / (plot.right - plot.left) * duration;
      return { t: Math.max(0, Math.min(duration, t)), y: (event.clientY - box.top) * scale };
    };
    const move = (event) => { const { t, y } = toTime(event); point(t, entry, y); };
    plot.svg.addEventListener('pointermove', move);
    plot.svg.addEventListener('pointerdown', move);
    plot.svg.addEventListener('pointerleave', (event) => { if (event.pointerType === 'mouse') leave(); });
  }
  let asked = null;
  function point(t, entry, y) {
    if (asked === null) requestAnimationFrame(() => { const [time, from, at] = asked; asked = null; show(time, from, at); });
    asked = [t, entry, y];
  }
  function show(t, from, y) {
    byId('plots').classList.add('hovering');
    for (const one of plots) {
      const x = one.plot.x(t);
      one.line.setAttribute('x1', x);
      one.line.setAttribute('x2', x);
      if (!one.readAt) continue;
      one.read.textContent = one.readAt(t, one === from ? y : null);
      // On the side that the cursor is not on.
      one.read.classList.toggle('left', t > duration / 2);
    }
    const run = runOf(arms[0]);
    const phase = run.phases.find((p) => t >= p.start && t <= p.end);
    byId('clock').textContent = `${(t / 10).toFixed(1)} s${phase ? `, ${phase.name}` : ''}`;
  }
  function leave() {
    byId('plots').classList.remove('hovering');
    byId('clock').textContent = '';
  }

  // ---- verdicts ----

  const MARKS = { held: ['✓', 'held', 'held'], failed: ['✕', 'not so', 'failed'], not_applicable: ['–', 'not applicable', 'na'] };

  function matrix() {
    const section = byId('signatures');
    section.replaceChildren(make('h2', null, 'Signatures'), make('p', null, 'What a faithful run of 2020 shows, judged from the recorded series. Choose a mark to see what was asked and what was found.'));
    const table = make('table', { class: 'matrix' });
    table.append(make('thead', null, make('tr', null, make('th'), arms.map((arm) => make('th', { scope: 'col' }, arm.summary.name)))));
    const body = make('tbody');
    for (const signature of data.signatures) {
      const line = make('tr', null, make('th', { scope: 'row' }, signature.id === 'control' ? 'control' : signature.id, make('small', null, signature.id === 'control' ? 'nothing may happen' : signature.title)));
      const open = make('tr', { hidden: '' });
      const cell = make('td', { colspan: arms.length + 1 });
      open.append(cell);
      for (const arm of arms) {
        const [glyph, words, style] = MARKS[arm.summary.signatures[signature.id]];
        const button = make('button', { class: `mark ${style}`, type: 'button', 'aria-expanded': 'false' }, make('b', { 'aria-hidden': 'true' }, glyph), words);
        button.addEventListener('click', () => {
          const was = button.getAttribute('aria-expanded') === 'true';
          line.querySelectorAll('.mark').forEach((one) => one.setAttribute('aria-expanded', 'false'));
          open.hidden = was;
          button.setAttribute('aria-expanded', String(!was));
          if (!was) cell.replaceChildren(why(arm, signature));
        });
        line.append(make('td', null, button));
      }
      body.append(line, open);
    }
    table.append(body);
    section.append(make('div', { class: 'scroll' }, table));
    const all = make('details', null, make('summary', null, 'All reasons in words'));
    for (const arm of arms) {
      const list = make('dl', { class: 'reasons' });
      for (const { id } of data.signatures) {
        const judgement = arm.summary.signatures[id];
        list.append(make('dt', { class: MARKS[judgement][2] }, id), make('dd', null, `${MARKS[judgement][1]}: ${arm.summary.reasons[id]}`));
      }
      all.append(make('h3', null, arm.summary.name), list);
    }
    section.append(all);
  }

  function why(arm, signature) {
    const run = arm.runs.find((one) => one.verdicts.some((v) => v.signature === signature.id && v.judgement === arm.summary.signatures[signature.id])) || runOf(arm);
    const verdict = run.verdicts.find((v) => v.signature === signature.id);
    const list = make('ul');
    for (const clause of verdict.clauses) {
      list.append(make('li', null, make('b', { class: clause.held ? 'held' : 'failed' }, clause.held ? '✓' : '✕'), make('div', null, clause.asks, make('span', null, clause.found))));
    }
    const from = arm.runs.length > 1 ? ` (run ${run.repeat + 1})` : '';
    return make('div', { class: 'why' }, make('p', null, `${arm.summary.name}${from}, ${signature.id}: ${verdict.reason}`), list);
  }

  function expectations() {
    const section = byId('expectations');
    const all = arms.flatMap((arm) => arm.summary.expectations.map((one) => ({ arm: arm.summary.name, ...one })));
    const off = all.filter((one) => !one.held);
    section.append(make('h2', null, 'Expectations'), make('p', null, `The scenario’s own, arm by arm: ${all.length - off.length} of ${all.length} held.`));
    if (off.length) {
      section.append(make('ul', { class: 'offs' }, off.map((one) => make('li', null, make('b', null, `${one.arm}: ${one.expects}`), make('span', null, one.found)))));
    }
    const table = make('table', null, make('tbody', null, all.filter((one) => one.held).map((one) => make('tr', null, make('td', { class: 'held' }, '✓'), make('td', null, one.arm), make('td', null, one.expects), make('td', null, one.found)))));
    section.append(make('details', null, make('summary', null, 'Those that held'), make('div', { class: 'scroll' }, table)));
  }

  function integrity() {
    const section = byId('integrity');
    section.append(make('h2', null, 'Integrity'), make('p', null, 'After the run everything was read back: every acknowledged record must be there once, in the order of the log.'));
    const columns = ['acknowledged', 'found', 'lost', 'duplicated', 'reordered', 'damaged'];
    const body = arms.map((arm) => {
      const found = arm.summary.integrity;
      return make('tr', null, make('th', { scope: 'row' }, arm.summary.name), columns.map((name) => {
        const value = found ? found[name] : null;
        return make('td', { class: `number${found && columns.indexOf(name) > 1 ? (value === 0 ? ' held' : ' failed') : ''}` }, found ? number(value) : 'unknown');
      }));
    });
    section.append(make('div', { class: 'scroll' }, make('table', null, make('thead', null, make('tr', null, make('th'), columns.map((name) => make('th', { class: 'number', scope: 'col' }, name)))), make('tbody', null, body))));
  }

  function parameters() {
    const section = byId('parameters');
    const names = unique(arms.flatMap((arm) => arm.parameters.map((p) => p.name)));
    if (!names.length) return;
    section.append(make('h2', null, 'Parameters'), make('p', null, 'AWS did not state the values marked as assumed; change them in a scenario of your own.'));
    const body = names.map((name) => {
      const found = arms.map((arm) => arm.parameters.find((p) => p.name === name));
      const any = found.find(Boolean);
      const differs = new Set(found.map((p) => (p ? p.value : '–'))).size > 1;
      return make('tr', null,
        make('th', { scope: 'row' }, make('code', null, name), any.assumed ? make('span', { class: 'assumed' }, 'assumed') : null, any.note ? make('small', null, ` ${any.note}`) : null),
        found.map((p) => make('td', { class: differs ? 'differs' : null }, p ? p.value : '–')));
    });
    section.append(make('div', { class: 'scroll' }, make('table', null, make('thead', null, make('tr', null, make('th'), arms.map((arm) => make('th', { scope: 'col' }, arm.summary.name)))), make('tbody', null, body))));
  }

  function host() {
    byId('host').append(make('h2', null, 'Host'), make('div', { class: 'scroll' }, make('table', null, make('tbody', null,
      Object.entries(data.host).map(([name, value]) => make('tr', null, make('th', { scope: 'row' }, name), make('td', null, value)))))));
  }

  head();
  paintAll();
  matrix();
  expectations();
  integrity();
  parameters();
  host();

  let width = window.innerWidth, waiting = 0;
  window.addEventListener('resize', () => {
    if (window.innerWidth === width) return;
    width = window.innerWidth;
    clearTimeout(waiting);
    waiting = setTimeout(paintAll, 120);
  });
  window.addEventListener('beforeprint', () => document.querySelectorAll('details').forEach((one) => { one.open = true; }));
})();
