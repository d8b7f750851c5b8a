"""``python -m tclif_deploy``: the command line."""

from tclif_deploy.cli.start import main

if __name__ == "__main__":
    main()
