// The one door to the vendored libraries, so that a component imports from
// here and a change of library touches one file.
export { html } from 'htm/preact';
export { render, Fragment, Component, createContext } from 'preact';
export { useEffect, useLayoutEffect, useMemo, useRef, useState, useCallback, useId } from 'preact/hooks';
export { signal, computed, effect, batch } from '@preact/signals';
