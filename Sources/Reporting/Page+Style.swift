extension Page {
  /// Colours by role; the eight of series keep their distance for readers who see fewer, on both
  /// grounds.
  static let style = """
    :root {
      --ground: #fcfcfb; --card: #ffffff; --ink: #1d1d1b; --soft: #5c5b57; --rule: #e4e3de;
      --back: var(--ground);
      --c0: #2a6fdb; --c1: #c2570c; --c2: #0b8a5f; --c3: #8a4fd0; --c4: #b3266b; --c5: #7a6a00;
      --c6: #0e7f9c; --c7: #6b6a66;
      --trained: #2a6fdb; --training: #e0a100; --masked: #c8321f; --waiting: #c9c8c2;
      --shade: #0004;
    }
    @media (prefers-color-scheme: dark) {
      :root {
        --ground: #161614; --card: #1f1f1c; --ink: #f2f1ec; --soft: #b3b1a9; --rule: #3a3934;
        --c0: #6ea5ff; --c1: #f09552; --c2: #44c796; --c3: #bd95f5; --c4: #ee7bb0; --c5: #d4bd3a;
        --c6: #53c4e0; --c7: #a9a79f;
        --trained: #6ea5ff; --training: #f2c14e; --masked: #ef6a57; --waiting: #55544e;
        --shade: #fff4;
      }
    }
    * { box-sizing: border-box; }
    body {
      margin: 0 auto; padding: 1.25rem clamp(1rem, 4vw, 2.5rem) 4rem; max-width: 76rem;
      background: var(--ground); color: var(--ink);
      font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", sans-serif; overflow-wrap: anywhere;
    }
    h1 { font-size: 1.7rem; line-height: 1.2; margin: 0.5rem 0; }
    h2 { font-size: 1.2rem; margin: 2.5rem 0 0.5rem; }
    header p, .summary { color: var(--soft); }
    p { max-width: 46rem; margin: 0.5rem 0; }
    dl { display: grid; gap: 0.75rem;
      grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); }
    dl div { background: var(--card); border: 1px solid var(--rule); border-radius: 0.5rem;
      padding: 0.6rem 0.8rem; }
    dt { color: var(--soft); font-size: 0.85rem; }
    dd { margin: 0; font-size: 1.25rem; font-variant-numeric: tabular-nums; }
    .figures { display: grid; gap: 1rem;
      grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr)); }
    figure { margin: 0; background: var(--card); border: 1px solid var(--rule);
      border-radius: 0.5rem; padding: 0.9rem; min-width: 0; --back: var(--card); }
    figcaption { font-weight: 600; margin-bottom: 0.5rem; }
    .summary { font-size: 0.9rem; }
    figure > svg { width: 100%; max-width: 38rem; height: auto; display: block; }
    .figures, main > section > .scroll { margin: 1rem 0; }
    svg text { fill: var(--soft); font-size: 13px; font-family: inherit; }
    svg .end { text-anchor: end; } svg .middle { text-anchor: middle; }
    .rule { stroke: var(--rule); fill: none; } .axis { stroke: var(--soft); fill: none; }
    .line { fill: none; stroke: var(--c); stroke-width: 2; stroke-linejoin: round; }
    .d1 { stroke-dasharray: 8 6; } .d2 { stroke-dasharray: 2 5; }
    .d3 { stroke-dasharray: 12 4 2 4; }
    .band { fill: var(--c); opacity: 0.16; } .dot, .bar { fill: var(--c); }
    .c0 { --c: var(--c0); } .c1 { --c: var(--c1); } .c2 { --c: var(--c2); } .c3 { --c: var(--c3); }
    .c4 { --c: var(--c4); } .c5 { --c: var(--c5); } .c6 { --c: var(--c6); } .c7 { --c: var(--c7); }
    .legend { list-style: none; margin: 0.4rem 0 0; padding: 0; display: flex; flex-wrap: wrap;
      gap: 0.2rem 1.1rem; font-size: 0.9rem; }
    .sample { width: 28px; height: 10px; margin-right: 0.4rem; }
    .shard { display: flex; flex-wrap: wrap; align-items: center; gap: 0.35rem 0.9rem;
      margin: 0.35rem 0; }
    .shard b { font-weight: 500; color: var(--soft); min-width: 4.5rem; font-size: 0.9rem; }
    .shard span { display: inline-flex; gap: 2px; }
    .grid i, .key i { width: 1rem; height: 1rem; border-radius: 3px; display: inline-block;
      background: var(--waiting); }
    i.trained { background: var(--trained) !important; }
    i.training { background: var(--training) !important; }
    i.masked { background: repeating-linear-gradient(45deg, var(--masked) 0 3px,
      transparent 3px 6px), var(--waiting) !important; }
    .key { display: flex; flex-wrap: wrap; gap: 0.2rem 1.1rem; font-size: 0.9rem; }
    .key i { vertical-align: -0.15rem; margin-right: 0.3rem; }
    /* Shadows at the edges beyond which there is more; where there is none, a cover hides them. */
    .scroll { overflow-x: auto; background: linear-gradient(90deg, var(--back) 40%, transparent)
        left / 2.5rem 100% no-repeat local,
      linear-gradient(270deg, var(--back) 40%, transparent) right / 2.5rem 100% no-repeat local,
      linear-gradient(90deg, var(--shade), transparent) left / 0.8rem 100% no-repeat scroll,
      linear-gradient(270deg, var(--shade), transparent) right / 0.8rem 100% no-repeat scroll; }
    table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums;
      overflow-wrap: break-word; }
    th, td { padding: 0.25rem 0.8rem 0.25rem 0; text-align: right; white-space: nowrap;
      border-bottom: 1px solid var(--rule); font-weight: 400; }
    thead th { white-space: normal; vertical-align: bottom; }
    .pairs th, .pairs td { text-align: left; white-space: normal; vertical-align: top; }
    .pairs td { overflow-wrap: anywhere; }
    th:first-child { text-align: left; } thead th { color: var(--soft); }
    details summary { cursor: pointer; font-size: 0.9rem; color: var(--soft); }
    pre { overflow-x: auto; background: var(--card); border: 1px solid var(--rule);
      border-radius: 0.5rem; padding: 0.8rem; font-size: 0.9rem; }
    @media (max-width: 34rem) {
      svg text { font-size: 17px; } figure > svg { overflow: visible; }
      table { font-size: 0.8rem; } th, td { padding-right: 0.5rem; }
      th:first-child { white-space: normal; min-width: 6rem; }
    }
    @media print { details > * { display: block; } figure { break-inside: avoid; } }
    """
}
