"""A process of the pool, as ``crop_pool`` starts it."""

import sys

from footprints.cropping.crop_worker import main

if __name__ == "__main__":
    sys.exit(main())
