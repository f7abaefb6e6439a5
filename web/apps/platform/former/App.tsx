import { App as Product } from '../src/App';
import { FormerProviders } from './everything';

export function App() {
  return (
    <FormerProviders>
      <Product />
    </FormerProviders>
  );
}
