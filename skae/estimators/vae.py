"""The VAE: its parameters, and what they mean."""

import numbers

from skae._sklearn import HasMethods, Interval, StrOptions
from skae.models.penalties import DIVERGENCES
from skae.models.posteriors import POSTERIORS
from skae.priors import PRIORS

from .density import BaseDensity
from .parameters import Count

__all__ = ["VAETransformer"]


class VAETransformer(BaseDensity):
    """Variational autoencoder that starts as probabilistic PCA.

    A density model of rows, ``z ~ N(0, I)`` and ``x | z`` by the likelihood about a
    decoder d, with an encoder that gives a Gaussian posterior ``q(z | x)``. Maximises
    the evidence lower bound on the log-likelihood::

        sum_i w_i (E_q log p(x_i | z) - beta KL(q(z | x_i) || N(0, I)))

    from the maximum-likelihood solution of probabilistic PCA, whose bound is exact::

        d(z) = mu + V' diag(w) z + r g(z)          w = sqrt(lambda - sigma2)
        E[z | x] = diag(w / lambda) V (x - mu) + f((x - mu) / s)
        Var[z | x] = sigma2 / lambda exp(h((x - mu) / s))

    with networks f, g, h that start at zero; s and r are units, as in
    :class:`AutoencoderTransformer`. ``score`` is a log-likelihood in nats,
    in the units of the rows, to be compared with that of
    :class:`~sklearn.decomposition.PCA`, :class:`~sklearn.mixture.GaussianMixture` or
    :class:`~sklearn.neighbors.KernelDensity`.

    With the Gaussian likelihood and fewer rows than columns, the networks are trained
    on coordinates of the space that the rows span, in which distances are the same;
    where ``"auto"`` counts columns it then counts rows in their place. With
    ``warm_start``, ``partial_fit``, ``init="random"``, ``conditional=True``,
    ``prior="vamp"`` or parts of one's own they are trained on the columns.

    Parameters
    ----------
    n_components : int, float or "auto", default=2
        Size of the code. A float between 0 and 1 takes as many components as PCA needs
        to explain that share of the variance of rows as the likelihood sees them:
        standardised by ``"gaussian_diag"``, ``"student_t"`` and a list, counts as
        logarithms. With more than 8000 rows and columns they are at most 512.
        ``"auto"`` trains for a moment at 1, 2, 3, 4, 6, 8, .. 64 components and takes
        the fewest beyond which rows held out gain no more than noise; ``partial_fit``
        needs a number. With ``init="pca"`` at most ``min(n_samples, n_features)``.

    hidden_layer_sizes : "auto" or tuple of int, default="auto"
        Widths of the encoder's hidden layers, mirrored by the decoder. ``"auto"`` is
        (512, 256) from 10,000 rows, or from ``n_samples * n_features`` of 5 million
        on, else (256, 128). ``()`` is the linear path alone: with the Gaussian
        likelihoods it is probabilistic PCA, or factor analysis, and nothing is trained,
        unless there are classes or a learned prior, or ``beta``, ``free_bits`` or
        ``"mmd"`` ask for something else.

    activation : {"silu", "relu", "leaky_relu", "elu", "gelu", "tanh", "logistic", \
            "identity"}, default="silu"
        Activation of the hidden layers.

    encoder, decoder : network spec or callable, default=None
        In place of the perceptron that ``hidden_layer_sizes`` and ``activation``
        describe: a spec such as :class:`skae.networks.MLP` or
        :class:`skae.networks.Conv`, which the decoder mirrors, or a factory, called as
        ``factory(n_inputs, n_outputs)``, that returns a new ``nn.Module``. Its encoder
        sees ``(x - mu) / s``; what its decoder gives is added to the start's predictor
        (a mean, in units of what is left, or a logit or logarithm), with
        ``init="random"`` to that of the columns' means. So a decoder ends in a linear
        layer, not in a sigmoid, whatever the rows.

    init : {"pca", "random"}, default="pca"
        ``"pca"`` starts at probabilistic PCA; ``"random"`` is an ordinary network at
        random weights, without a linear path, and ``fit`` warns where it ends worse
        than probabilistic PCA on the rows held out.

    likelihood : str, likelihood spec or list of (likelihood, columns), \
            default="gaussian"
        What a row is given its code, by name or as a spec of
        :mod:`skae.likelihoods`:

        ==========================  ================================================
        ``"gaussian"``              one noise; starts at probabilistic PCA
        ``"gaussian_diag"``         one noise per column; starts at factor analysis
        ``"student_t"``             heavy tails, a scale per column
        ``"bernoulli"``             0 or 1, or probabilities
        ``"continuous_bernoulli"``  ink: pixels mostly 0 or 1; not photographs
        ``"poisson"``               counts, with a size per row
        ``"negative_binomial"``     counts that vary more, with a dispersion per column
        ``"categorical"``           one-hot columns
        ==========================  ================================================

        A mixed table has a list, as a ColumnTransformer: ``[("gaussian_diag", [0, 1]),
        ("bernoulli", ["smoker"]), ("categorical", ["city_a", "city_b"])]``, with
        columns by number, name, slice (of names with both ends), mask, or a callable
        of X that gives one of these, such as ``make_column_selector``, every column
        once; counts there are counts of their own, without a size. ``"auto"`` looks at
        the columns, and ``likelihood_`` is what it chose; with ``conditional=True``
        counts have no size there either, so that each class has totals of its own.

    prior : str or prior spec, default="auto"
        Density of the codes, by name or as a spec of :mod:`skae.priors`. ``"auto"`` is
        ``"posterior"``; it is ``"normal"`` where nothing is trained, so that the start
        is probabilistic PCA.

        ===============  ===========================================================
        ``"normal"``     the standard normal
        ``"gmm"``        a learned mixture of Gaussians
        ``"vamp"``       posteriors of learned pseudo-inputs, that begin at rows; not
                         with ``conditional=True``
        ``"flow"``       the standard normal, bent by a learned coupling flow
        ``"posterior"``  the standard normal while training. The first ``sample``,
                         ``score``, ``score_samples`` or ``elbo`` then fits a Gaussian
                         mixture to the codes of the training rows, which becomes
                         their prior; so does ``reconstruct`` or ``inverse_transform``
                         of a conditional model that is not told the classes. Where
                         rows come in near-copies it also has a Gaussian about each
                         code (up to 1,000), so near-copies are drawn. Not used with
                         ``partial_fit``; set aside when training goes on.
        ===============  ===========================================================

        Each begins as the standard normal, so the start is the same for all.

    posterior : {"diagonal", "full"}, default="diagonal"
        Covariance of a row's code, given the row: a variance per component, or a full
        matrix.

    divergence : {"kl", "mmd", "tc"}, default="kl"
        What keeps codes near the prior. ``"kl"`` is the Kullback-Leibler divergence.
        ``"mmd"`` compares the codes of a batch with draws of the prior (a Wasserstein
        autoencoder's maximum mean discrepancy); it is at most 2, so ``beta`` has to be
        as many nats as the codes' distribution is worth. ``"tc"`` is the
        Kullback-Leibler divergence, of which ``beta`` weighs the total correlation of
        the components (beta-TCVAE), as far as the rows of a batch can tell it: the
        fewer they are, and the surer their codes, the more it is of the information
        that codes have of rows. ``score`` is the bound on the log-likelihood all the
        same.

    beta : float, default=1.0
        Weight of the divergence of the posterior from the prior. At 1, with ``"kl"``,
        the objective is a bound on the log-likelihood.

    kl_warmup : float, default=0.0
        Share of the epochs over which the divergence is phased in, from 0 on: of
        ``max_iter`` first, and of the epochs of a second training on all rows. Rows
        that judge do so with the whole of it, and ``n_iter_no_change`` counts from the
        end of the warm-up on, so that it always ends. ``partial_fit`` and a
        ``warm_start`` that goes on have none.

    free_bits : float, default=0.0
        Nats of divergence, in the mean of a batch, below which a component has nothing
        to gain; keeps components from collapsing.

    n_importance_samples : int, default=1
        Draws per row of the bound that is trained. From 2 on it is the
        importance-weighted bound, tighter and dearer, with the doubly reparameterised
        gradient for the encoder; ``beta`` is then a power of prior over posterior.

    conditional : bool, default=False
        Whether the prior and the decoder are told the class of a row, the ``y`` of
        ``fit``, so that ``sample`` draws rows of a class. The encoder is not: rows
        have codes without one, and ``reconstruct`` averages over the classes that a row
        may have, unless it is given its ``y``. Each class has a prior of its own, which
        starts at the moments of its codes, what these leave of its mean, and a place
        beside the code in what the decoder takes (a factory is called with
        ``n_components`` and the number of classes added up). There is no
        ``partial_fit``, which would need all classes at once. A search over one needs
        all classes in each fold: pass it ``cv=StratifiedKFold(5)``. One that also asks
        whether to be told classes would compare log p(x | y) with log p(x), the former
        larger by up to the entropy of the classes; it compares like with like by
        ``scoring=lambda vae, X, y: vae.score(X)``.

    n_score_samples : int, default=64
        Draws of the code of a row by which ``score_samples`` estimates its
        log-likelihood. More draws tighten the bound, but hardly where the posterior has
        a peak narrower than the rest of it; 256 take about twice as long as
        64, 16 about two thirds. Of some tens of columns, in calls of a hundred rows,
        scoring costs 1 to 3 ms a row, a quarter of that with ``prior="normal"``; of
        thousands of columns, or one row at a time, ten times as much. With 64, held-out
        scores of the digits data, of 8 and of 32 components, are on average within 0.05
        nats of those of 8,192 random draws.

    solver : {"adam", "adamw", "sgd", "rmsprop", "adagrad"} or Optimizer class, \
            default="adamw"
        A name, a ``torch.optim.Optimizer`` class, or a ``functools.partial`` of one.
        ``"sgd"`` has Nesterov's momentum of 0.9. With a name, a gradient 2.5 times as
        long as usual is clipped to that, as one of a few far rows would be.

    learning_rate_init : "auto" or float, default="auto"
        Learning rate. Where rows judge and ``warm_start`` is off it falls along a
        line over the second half of ``max_iter``, to 0; when the loss stands still it
        is lowered to a fifth, once. ``"auto"`` is 0.002 for adam and adamw, 0.003 for
        sgd, 0.001 for rmsprop and 0.01 for adagrad, twice that for up to 100 columns;
        and its own default for a class.

    alpha : "auto" or float, default="auto"
        Weight decay of the networks' matrices, as the solver understands it (an L2
        penalty, or decoupled with adamw). PCA's maps, biases and the noise are free.
        ``"auto"`` is 0, or an optimizer class's own decay: the divergence of the
        posterior holds the networks already.

    batch_size : "auto" or int, default="auto"
        ``"auto"`` is a 16th of the rows as a power of two, between 32 and 256. A batch
        is at most all rows.

    max_iter : "auto" or int, default="auto"
        Largest number of epochs of a training; up to 10,000 rows a second training, on
        all rows, may take as many again (none with ``X_val``, where all of X has
        trained already). 0 is the start itself. ``"auto"`` allows 6,000 updates, and at
        least 20 and at most 300 epochs, but fewer of many columns, so that up to 2,000
        rows 50 million values are read, and in proportion above.

    tol : float, default=1e-3
        Improvement of the loss, in nats per column, that counts for
        ``n_iter_no_change``.

    early_stopping : bool, default=True
        Whether rows are held out to judge when to stop. The weights that are best on
        them are kept, the start among the candidates: the network has to be better by
        Student's test, or Wilcoxon's, at 99 % (but see ``warm_start``). The start that
        is judged has not seen them; what is returned uses all rows: the start of all
        rows where it won, else, up to 10,000 rows, a network trained again from there
        for as many epochs, which is kept if it was not cut short, is no worse on the
        rows that judge, and has not learned the rows that the first was trained on much
        further than the first had when it was stopped. With fewer than 10 distinct rows
        the start is returned. Rows given to ``fit`` as ``X_val`` judge in either case,
        and all of X trains at once. With False and no ``X_val`` all rows are trained on
        until the loss stands still, and nothing says that the end is better than the
        start.

    validation_fraction : "auto" or float, default="auto"
        Share of the distinct rows that is held out. ``"auto"`` is a third, at most
        500 rows, or a tenth, at most 5,000, whichever is more; fewer could not tell a
        network from its start. Where rows are hardly more than components it is less.

    n_iter_no_change : "auto" or int, default="auto"
        Epochs without improvement by ``tol`` until the learning rate is lowered, and
        again until training ends. ``"auto"`` is as many as make 300 updates,
        between 10 and 25.

    precision : {"auto", "float32"}, default="auto"
        ``"auto"`` trains large layers with products in bfloat16 where the hardware has
        fast units for them. Weights, and everything after training, are float32 or
        wider.

    device : str or torch.device, default="auto"
        ``"auto"`` is the first of cuda, mps and xpu that is there, else the CPU.

    warm_start : bool, default=False
        Whether ``fit`` goes on from the fitted weights, random stream and optimizer.
        From the first fit on, the epoch that is best on the rows that judge is then
        kept, whether or not it is surely better than the start, and nothing is trained
        again on all rows. So the end may be somewhat worse than the start of all rows;
        where no epoch of the first fit is better (its ``best_epoch_`` is 0) it is the
        start of the rows that do not judge. What the model was made with, such as
        ``n_components``, has to be as it was.

    random_state : int, RandomState instance or None, default=None
        Seed of the split, the batches and the networks' first weights. None takes
        fresh entropy; NumPy's and torch's global streams are never touched.

    verbose : bool, default=False
        Whether to print each epoch's loss, and why a start was kept.

    Attributes
    ----------
    n_components_ : int
        Size of the code.

    n_features_in_ : int
        Number of columns seen in ``fit``.

    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where they are all strings.

    n_iter_ : int
        Epochs run, those of a second training on all rows included.

    mean_ : ndarray of shape (n_features_in_,)
        Mean of the columns, over the rows of the start: all, or those that were not
        held out above 10,000 rows, with ``warm_start``, or where the second training
        was not kept.

    module_ : torch.nn.Module
        The network, on rows measured from ``mean_`` (or from 0 where the
        likelihood is not Gaussian). Gaussians of the codes are in its prior once they
        were asked for.

    device_ : torch.device
        Where ``module_`` is now.

    loss_curve_ : list of float
        Minus the evidence lower bound of a row, in nats (with ``beta`` as weight), of
        each epoch.

    validation_loss_curve_ : list of float
        The same on the rows that judge, at the start and after each epoch; with a
        Gaussian likelihood a row counts no more than log(n + 1) above what it lost at
        the start, as in :meth:`score_samples`.

    start_loss_ : float
        Loss of the start on the rows that judge: probabilistic PCA's. Where nothing
        is held out, on the training rows.

    best_loss_ : float
        Loss of the weights that were kept, on the same rows; after ``partial_fit``, on
        the last call's.

    best_epoch_ : int
        Epoch of the curves after which the weights that were kept stood; 0 is the
        start.

    noise_variance_ : float or ndarray of shape (n_features_in_,)
        Variance of the noise, with a Gaussian likelihood.

    likelihood_ : likelihood spec
        What was fitted, with columns by number.

    kl_per_component_ : ndarray of shape (n_components_,)
        Divergence of the posterior from the standard normal, in nats, by component, on
        average over the training rows: what each component says about a row.

    active_components_ : ndarray of bool of shape (n_components_,)
        Which components vary with the rows: the variance of their posterior means over
        the training rows is above 0.01, the prior's being 1 (Burda et al., 2016). If
        any does not, ``fit`` warns.

    classes_ : ndarray of shape (n_classes,)
        Classes that ``fit`` has seen, with ``conditional=True``.

    class_prior_ : ndarray of shape (n_classes,)
        Their shares.

    See Also
    --------
    AutoencoderTransformer : Codes and reconstructions without a density.
    sklearn.decomposition.PCA : Its ``score`` is where this starts.

    Notes
    -----
    For ``n_samples <= n_features``, :meth:`sklearn.decomposition.PCA.score` divides the
    discarded variance by ``n_samples - n_components`` in place of ``n_features -
    n_components``, and is not the likelihood of the maximum-likelihood solution; this
    starts at the latter.

    Scores are log-probabilities of counts and categories, log-densities of real
    values, and their sum in a mixed table; two likelihoods can be compared where both
    are probabilities, or both densities, of the same values. With ``"bernoulli"`` and
    values between 0 and 1 the score is minus a cross entropy. With
    ``"negative_binomial"`` and sizes it is a lower bound, see
    :class:`skae.likelihoods.NegativeBinomial`.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.decomposition import PCA
    >>> from skae import VAETransformer
    >>> X, _ = load_digits(return_X_y=True)
    >>> X_train, X_test = X[:600], X[600:700]
    >>> vae = VAETransformer(8, max_iter=20, random_state=0).fit(X_train)
    >>> vae.score(X_test) > PCA(8).fit(X_train).score(X_test)
    True
    >>> vae.sample(3, random_state=0).shape
    (3, 64)
    """

    _parameter_constraints: dict = {
        **BaseDensity._parameter_constraints,
        "prior": [StrOptions({"auto", *PRIORS}), HasMethods("build")],
        "posterior": [StrOptions(set(POSTERIORS))],
        "divergence": [StrOptions(set(DIVERGENCES))],
        "beta": [Interval(numbers.Real, 0, None, closed="left")],
        "kl_warmup": [Interval(numbers.Real, 0, 1, closed="both")],
        "free_bits": [Interval(numbers.Real, 0, None, closed="left")],
        "n_importance_samples": [Count(1)],
        "conditional": ["boolean"],
        "n_score_samples": [Count(1)],
    }

    def __init__(
        self,
        n_components=2,
        *,
        hidden_layer_sizes="auto",
        activation="silu",
        encoder=None,
        decoder=None,
        init="pca",
        likelihood="gaussian",
        prior="auto",
        posterior="diagonal",
        divergence="kl",
        beta=1.0,
        kl_warmup=0.0,
        free_bits=0.0,
        n_importance_samples=1,
        conditional=False,
        n_score_samples=64,
        solver="adamw",
        learning_rate_init="auto",
        alpha="auto",
        batch_size="auto",
        max_iter="auto",
        tol=1e-3,
        early_stopping=True,
        validation_fraction="auto",
        n_iter_no_change="auto",
        precision="auto",
        device="auto",
        warm_start=False,
        random_state=None,
        verbose=False,
    ):
        self.n_components = n_components
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.encoder = encoder
        self.decoder = decoder
        self.init = init
        self.likelihood = likelihood
        self.prior = prior
        self.posterior = posterior
        self.divergence = divergence
        self.beta = beta
        self.kl_warmup = kl_warmup
        self.free_bits = free_bits
        self.n_importance_samples = n_importance_samples
        self.conditional = conditional
        self.n_score_samples = n_score_samples
        self.solver = solver
        self.learning_rate_init = learning_rate_init
        self.alpha = alpha
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.precision = precision
        self.device = device
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose
