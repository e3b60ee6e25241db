"""Every command, one file for each noun. Importing this enters them all into the table."""

from cli.commands import about as about
from cli.commands import apps as apps
from cli.commands import backup as backup
from cli.commands import builds as builds
from cli.commands import config as config
from cli.commands import disk as disk
from cli.commands import domains as domains
from cli.commands import events as events
from cli.commands import keyring as keyring
from cli.commands import log as log
from cli.commands import logs as logs
from cli.commands import ps as ps
from cli.commands import releases as releases
from cli.commands import ssh_keys as ssh_keys
from cli.commands import url as url
