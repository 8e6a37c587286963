"""Sources of training data that an offline study needs: documented functions of packages."""
